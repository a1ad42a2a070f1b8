//! What smartctl says of a disk's health.

use serde_json::Value;

use super::Smart;

/// The command line, without the device. A disk that sleeps is left asleep.
pub(super) const ARGS: [&str; 6] = ["--json=c", "-i", "-H", "-A", "-n", "standby"];

/// Reallocated, pending and uncorrectable sectors (ATA attributes).
const BAD: [u64; 3] = [5, 197, 198];

/// Reads smartctl's JSON; none if the disk says nothing of itself.
pub(super) fn parse(json: &[u8]) -> Option<Smart> {
    let all: Value = serde_json::from_slice(json).ok()?;
    let ata = all["ata_smart_attributes"]["table"].as_array().map(|table| {
        let bad = table.iter().filter(|a| a["id"].as_u64().is_some_and(|id| BAD.contains(&id)));
        bad.filter_map(|a| a["raw"]["value"].as_u64()).fold(0, u64::saturating_add)
    });
    let nvme = || all["nvme_smart_health_information_log"]["media_errors"].as_u64();
    let smart = Smart {
        passed: all["smart_status"]["passed"].as_bool(),
        temperature: all["temperature"]["current"].as_i64(),
        hours: all["power_on_time"]["hours"].as_u64(),
        bad_sectors: ata.or_else(nvme),
    };
    (smart != Smart { passed: None, temperature: None, hours: None, bad_sectors: None }).then_some(smart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_speak_of_their_health() {
        // Shortened from smartctl 7.3.
        let ata =
            br#"{"json_format_version":[1,0],"device":{"name":"/dev/sda","type":"sat"},"smart_status":{"passed":true},
            "ata_smart_attributes":{"revision":16,"table":[
              {"id":5,"name":"Reallocated_Sector_Ct","value":200,"raw":{"value":8,"string":"8"}},
              {"id":9,"name":"Power_On_Hours","value":99,"raw":{"value":1234,"string":"1234"}},
              {"id":197,"name":"Current_Pending_Sector","value":200,"raw":{"value":1,"string":"1"}},
              {"id":198,"name":"Offline_Uncorrectable","value":100,"raw":{"value":0,"string":"0"}}]},
            "power_on_time":{"hours":1234},"temperature":{"current":34}}"#;
        assert_eq!(
            parse(ata),
            Some(Smart { passed: Some(true), temperature: Some(34), hours: Some(1234), bad_sectors: Some(9) })
        );
        let nvme = br#"{"smart_status":{"passed":false,"nvme":{"value":4}},"nvme_smart_health_information_log":
            {"critical_warning":4,"temperature":41,"media_errors":3,"power_on_hours":77},
            "temperature":{"current":41},"power_on_time":{"hours":77}}"#;
        assert_eq!(
            parse(nvme),
            Some(Smart { passed: Some(false), temperature: Some(41), hours: Some(77), bad_sectors: Some(3) })
        );
        let refused = br#"{"smartctl":{"messages":[{"string":"/dev/vda: Unable to detect device type","severity":"error"}],"exit_status":1}}"#;
        assert_eq!(parse(refused), None);
        assert_eq!(parse(b""), None);
    }
}
