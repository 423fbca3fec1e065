//! `bench-client`: the instrument's command line.

/// Every operation allocates some dozens of times, nearly all of it freed by the same thread soon after.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    bench_client::cli::main()
}
