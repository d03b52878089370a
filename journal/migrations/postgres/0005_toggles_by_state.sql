-- Plans that wait, and toggles that were cut off, are looked for by their state.
CREATE INDEX toggles_by_state ON toggles (state, seq);
