//! The daemon `p0d`.
use std::process::ExitCode;

fn main() -> ExitCode {
    p0::surface::daemon::main()
}
