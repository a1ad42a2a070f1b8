# The machines that the tests have in common. They get their addresses in the order of their names: a_camera 192.168.1.1, recorder 192.168.1.2.
{ self, pkgs }:
{
  a_camera = {
    networking.firewall.allowedTCPPorts = [ 8554 ];
    systemd.services.camera =
      let
        parts = [
          pkgs.gst_all_1.gstreamer
          pkgs.gst_all_1.gst-plugins-base
          pkgs.gst_all_1.gst-plugins-good
          pkgs.gst_all_1.gst-plugins-bad
          pkgs.gst_all_1.gst-rtsp-server
        ];
        below = folder: builtins.concatStringsSep ":" (map (p: "${pkgs.lib.getLib p}/lib/${folder}") parts);
        python = pkgs.python3.withPackages (p: [ p.pygobject3 ]);
      in
      {
        wantedBy = [ "multi-user.target" ];
        environment = {
          GI_TYPELIB_PATH = "${below "girepository-1.0"}:${pkgs.lib.getLib pkgs.glib}/lib/girepository-1.0";
          GST_PLUGIN_SYSTEM_PATH_1_0 = below "gstreamer-1.0";
        };
        serviceConfig.ExecStart = "${python}/bin/python3 ${./camera.py}";
      };
  };

  recorder = {
    imports = [ self.nixosModules.custodian ];
    services.custodian = {
      enable = true;
      # The pkgs of a test's machine are the test's, and take no overlay.
      package = self.packages.${pkgs.stdenv.hostPlatform.system}.custodian;
    };
    environment.etc."custodian/site.toml".source = ./site.toml;
    environment.systemPackages = [ pkgs.ffmpeg ];
    virtualisation.emptyDiskImages = [
      {
        size = 4096;
        driveConfig.deviceExtraOpts.serial = "footage";
      }
    ];
  };
}
