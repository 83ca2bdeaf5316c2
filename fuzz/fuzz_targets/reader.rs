//! Output of agents and of their programs, whatever it is: no panic, and no more memory than the lines have.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| p0::fuzz::output(bytes));
