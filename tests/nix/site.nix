# A site as attributes: image/site.example.toml says the same in TOML, at length.
{
  site = {
    name = "Sunflower Kindergarten";
    id = "sunflower";
    timezone = "Asia/Ho_Chi_Minh";
    language = "en";
  };
  retention = {
    min_days = 20;
    max_days = 30;
  };
  recorder.a = {
    unlock = "tpm";
    volume = [
      {
        name = "a1";
        disk = "ata-WDC_WD120EFBX-68B0EN0_5QJ0A1CD";
        size = "12 TB";
      }
    ];
  };
  area.gate = {
    name = "Gate";
    kind = "public";
  };
  camera.gate = {
    name = "Gate";
    area = "gate";
    main = "rtsp://10.30.0.11/stream1";
    bitrate = "2 Mbit/s";
  };
}
