//! Stories: one behaviour each.
