fn main() -> std::process::ExitCode {
    app::data_migrate_server()
}
