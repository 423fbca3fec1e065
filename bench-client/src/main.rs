//! `bench-client`: the instrument's command line.

fn main() -> std::process::ExitCode {
    bench_client::cli::main()
}
