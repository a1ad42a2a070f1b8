//! Pictures of the machine's screen that docs/guide shows: `install-NAME.LANGUAGE.png`. A boot test takes them (tests/boot/screens.rs).

/// The names, in the order in which a person sees them.
pub const PICTURES: [&str; 11] = [
    "language",
    "plan",
    "footage",
    "pin",
    "progress",
    "secrets",
    "finished",
    "console",
    "apply-from-stick",
    "update",
    "rescue",
];
