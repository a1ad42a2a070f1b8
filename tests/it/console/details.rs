//! The page with all that is wrong.

use custodian::types::Lang;

use super::Machine;

/// Nobody has a command line there: before what is said for those who have one stand the keys that do it here.
#[test]
fn what_wants_a_command_line_comes_after_the_keys_that_there_are() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    for lang in Lang::ALL {
        let machine = Machine::new();
        let mut person = machine.console(lang);
        person.sees(&person.t("key_t"));
        person.sees("first");
        person.types("d");
        // Before anything else, for it is a long text.
        let page = person.sees(&person.first_words("details_keys"));
        let (keys, command) = (page.find("custodian …"), page.find("systemctl status"));
        assert!(keys.is_some() && keys < command, "{lang}: {page}");
    }
}
