//! What smartctl says of a disk's health.

use serde_json::Value;

use super::Smart;

/// The command line, without the device. A disk that sleeps is left asleep.
pub(super) const ARGS: [&str; 6] = ["--json=c", "-i", "-H", "-A", "-n", "standby"];

/// Reallocated, pending and uncorrectable sectors (ATA attributes).
const BAD: [u64; 3] = [5, 197, 198];

/// What came of asking a disk for its health.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It says this.
    Told(Smart),
    /// It sleeps, and was left asleep.
    Asleep,
    /// It has nothing to say: no SMART, or nothing that smartctl knows.
    Untold,
    /// Nothing came of it: smartctl is not there, was given up on, or could not talk to the disk.
    Failed,
}

/// Reads what smartctl printed. By smartctl(8), exit status 1 says that it knows no such device, 2 that it could not talk to it, or that it is
/// in a low-power mode; of the last two, one comes with an error.
pub(super) fn answer(json: &[u8]) -> Answer {
    if let Some(smart) = parse(json) {
        return Answer::Told(smart);
    }
    let Ok(all) = serde_json::from_slice::<Value>(json) else { return Answer::Failed };
    let messages = || all["smartctl"]["messages"].as_array().into_iter().flatten();
    let sleeps =
        |m: &Value| m["string"].as_str().is_some_and(|s| s.starts_with("Device is in ") && s.contains(" mode"));
    let status = all["smartctl"]["exit_status"].as_u64().unwrap_or_default();
    if messages().any(sleeps) || status & 2 != 0 && !messages().any(|m| m["severity"] == "error") {
        Answer::Asleep
    } else if status & 2 != 0 {
        Answer::Failed
    } else {
        Answer::Untold
    }
}

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
        assert_eq!((answer(refused), answer(b"")), (Answer::Untold, Answer::Failed));
        assert!(matches!(answer(nvme), Answer::Told(smart) if smart.passed == Some(false)));
    }

    #[test]
    fn one_that_sleeps_is_told_from_one_that_does_not_answer() {
        let said = |status: u64, messages: Value| {
            answer(
                serde_json::json!({ "smartctl": { "exit_status": status, "messages": messages } })
                    .to_string()
                    .as_bytes(),
            )
        };
        let message = |text: &str, severity: &str| serde_json::json!([{ "string": text, "severity": severity }]);
        assert_eq!(said(2, message("Device is in STANDBY mode, exit(2)", "information")), Answer::Asleep);
        assert_eq!(said(2, Value::Null), Answer::Asleep, "older ones print it beside the JSON");
        let broken = message("Read Device Identity failed: Input/output error", "error");
        assert_eq!(said(2, broken), Answer::Failed);
        assert_eq!(said(0, Value::Null), Answer::Untold);
    }
}
