//! Pure decisions, a file per RFC section. No state, no clock; each is table-tested.
