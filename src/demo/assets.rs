//! The files of the demo's repository.

/// One file: its path in the repository, its content, and whether it is a program.
pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) content: &'static str,
    pub(super) is_program: bool,
}

const fn file(path: &'static str, content: &'static str) -> Asset {
    Asset { path, content, is_program: false }
}

/// The file by which a folder is known as a demo's. It is written first, so that a demo that was killed while it wrote
/// the others is known as well.
pub(super) const MARK: Asset = file(".p0/demo", include_str!("assets/p0/demo"));

/// The spec.
pub(super) const SPEC: Asset = file("SPEC.md", include_str!("assets/blog/SPEC.md"));

/// Every other file.
pub(super) const FILES: &[Asset] = &[
    file(".p0/config.toml", include_str!("assets/p0/config.toml")),
    file(".p0/playbook.toml", include_str!("assets/p0/playbook.toml")),
    file("AGENTS.md", include_str!("assets/blog/AGENTS.md")),
    file("README.md", include_str!("assets/blog/README.md")),
    Asset { path: "bin/blog", content: include_str!("assets/blog/bin/blog"), is_program: true },
    file("lib/help.sh", include_str!("assets/blog/lib/help.sh")),
    file("lib/text.sh", include_str!("assets/blog/lib/text.sh")),
    file("tests/assert.sh", include_str!("assets/blog/tests/assert.sh")),
    file("tests/run.sh", include_str!("assets/blog/tests/run.sh")),
    file("tests/text_test.sh", include_str!("assets/blog/tests/text_test.sh")),
];

/// All of them, the mark first.
pub(super) fn all() -> impl Iterator<Item = &'static Asset> {
    const FIRST: &[Asset] = &[MARK, SPEC];
    FIRST.iter().chain(FILES)
}
