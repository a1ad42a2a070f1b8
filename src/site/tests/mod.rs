//! Tests of the whole way from text to site or errors.

mod cases;
mod model;
mod mutations;
mod schema;

/// Two recorders, a camera with everything, one with little.
const BASE: &str = r#"
[site]
name = "Trường mầm non"
timezone = "Asia/Ho_Chi_Minh"
language = "vi"

[retention]
min_days = 20
max_days = 30

[recorder.a]
control_room = true
[[recorder.a.volume]]
name = "a1"
disk = "ata-WDC_WD120EFBX_1234"
size = "12 TB"

[recorder.b]
[[recorder.b.volume]]
name = "b1"
path = "/srv/footage"

[area.gate]
name = "Cổng chính"
kind = "public"
department = "Tổ bảo vệ"
retention = { max_days = 25 }

[area.class]
name = "Lớp 1"
kind = "classroom"
reason = "Ban giám hiệu quyết định"

[camera.gate-1]
name = "Cổng chính 1"
area = "gate"
recorder = "a"
volume = "a1"
previously = ["cong-1"]
main = "rtsp://10.20.1.11/Streaming/Channels/101"
sub = "rtsp://10.20.1.11/Streaming/Channels/102"
record = ["main", "sub"]
transport = "udp"
credentials = "viewer"
bitrate = "2 Mbit/s"
schedule = ["mon-fri 06:00-18:00"]
priority = 9
responsible = "dung"
serial = "S1"
mac = "44-19-B6-0A-1C-2F"
bought = 2025-07-15
retention = { min_days = 21 }

[camera.class-1]
name = "Lớp 1"
area = "class"
volume = "b1"
main = "rtsp://10.20.1.12/1"

[role.guard]
name = "Bảo vệ"
may = ["live", "duty"]
areas = ["gate"]

[role.leadership]
name = "Ban giám hiệu"
may = ["approve"]

[person.dung]
name = "Phạm Văn Dũng"
roles = ["guard", "leadership"]

[approval.ordinary]
by = ["leadership"]
valid = "3 d"

[[health.push]]
kind = "uptime-kuma"
url_secret = "kuma"

[[health.alarm]]
kind = "email"
to = ["cntt@truong.example.vn"]
from = "dau-ghi@truong.example.vn"
server = "mail.truong.example.vn"
username = "dau-ghi"
password_secret = "mail"

[health.pull]
listen = "10.1.2.3:9464"
token_secret = "prometheus"

[backup]
recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]
at = "02:30"
to = { kind = "directory", path = "/mnt/nas" }

[update]
window = ["sun 02:00-04:00"]
"#;

const EXAMPLE: &str = include_str!("../../../image/site.example.toml");
