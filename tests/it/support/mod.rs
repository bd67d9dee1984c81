//! What the tests share: places, fixtures, clocks, pictures of trees, and probes that fail or cut calls.

pub(crate) mod clock;
pub(crate) mod edit;
pub(crate) mod probe;
pub(crate) mod temp;
pub(crate) mod toolchain;
pub(crate) mod tree;
pub(crate) mod world;

pub(crate) use clock::TestClock;
pub(crate) use temp::TempDir;
pub(crate) use toolchain::cargo;
pub(crate) use tree::Picture;
pub(crate) use world::{World, target_directory_is_elsewhere};
