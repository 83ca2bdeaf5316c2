//! Hands on the world: git, processes, the clock, room on the disk. Nothing in here decides; every hand answers with what it saw.
pub mod clock;
pub mod drive;
pub mod git;
pub mod plain_file;
pub mod process;
pub mod sandbox;
pub mod shortage;
pub mod space;
