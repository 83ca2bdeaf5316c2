//! Gives the library a mark of the rules it is built from: a snapshot of a state is good only for the very rules that
//! made it, and one that is not is folded again from the log.
#![expect(clippy::disallowed_macros, reason = "cargo reads what a build script prints")]
use std::{
    fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    for room in ["src/model", "src/kernel"] {
        println!("cargo::rerun-if-changed={room}");
        collect(Path::new(room), &mut files)?;
    }
    files.sort();
    // FNV-1a: stable over compilers and machines, and nobody has an interest in a collision.
    let mut mark = 0xcbf2_9ce4_8422_2325_u64;
    for file in files {
        for byte in file.to_string_lossy().bytes().chain(fs::read(&file)?) {
            mark = (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    println!("cargo::rustc-env=P0_RULES_MARK={mark:016x}");
    Ok(())
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
