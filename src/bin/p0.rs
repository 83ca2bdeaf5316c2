//! The command line `p0`. The same file is the supervisor of agents (`__agent`), the player of playbooks (`__playbook`)
//! and the driver of command-line agents (`__drive`): all must start fast, so they are told apart before anything else
//! is set up.
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let code = match (args.next().as_deref().and_then(|word| word.to_str()), args.next()) {
        (Some("__agent"), Some(dir)) => p0::process::supervisor_main(dir.as_ref()),
        (Some("__confine"), Some(dir)) => p0::process::confine_main(dir.as_ref()),
        (Some("__limited"), Some(limits)) => p0::sandbox::limited_main(&limits, args),
        (Some("__playbook"), Some(file)) => p0::demo::playbook::playbook_main(file.as_ref()),
        (Some("__drive"), Some(file)) => p0::driver::drive_main(file.as_ref()),
        (Some(_) | None, _) => return p0::surface::cli::main(),
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
