#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| p0::fuzz::event(bytes));
