//! Mistakes that a node makes on purpose, so that the simulation proves that it would notice them.
//! Only there with the feature `mistakes`, which no released binary has.

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// A batch whose outcome was unknown is refused when its repetition fails for good.
    RefuseAfterUnknown,
    /// What an attempt with an unknown outcome had stored is taken for an old duplicate.
    RepeatIsDuplicate,
    /// A batch whose outcome is unknown is not repeated.
    ForgetUnknown,
}
