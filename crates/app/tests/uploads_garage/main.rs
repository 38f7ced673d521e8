//! Uploads and links against garage, which checks signatures as AWS does. `make test-s3` builds it and runs this.

mod garage;
#[allow(dead_code, reason = "a part is used")]
#[path = "../it/place/mod.rs"]
mod place;
#[allow(dead_code, unused_imports, reason = "a part is used")]
#[path = "../it/s3/mod.rs"]
mod s3;

use std::fs;

use garage::Garage;
use place::Place;
use s3::{get, section, unpacked};
use testkit::tree::{Recipe, make};

#[test]
#[ignore = "needs garage: make test-s3"]
fn a_strict_server_takes_uploads_and_links() {
    let garage = Garage::up();
    let region = format!("region: {}", garage::REGION);
    let access = format!("access_key: {}", garage::ACCESS);
    let secret = format!("secret_key: {}", garage::SECRET);
    let section = section(&garage.endpoint(), "md", &[&region, &access, &secret]);
    let place = Place::new("garage");
    make(&place.path("a"), &Recipe::plain(3, 10), 1).unwrap();
    place.file("tasks.txt", "DIR/a DIR/to/a\nDIR/gone DIR/to/b\n");
    let global =
        "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: tasks.txt}\n";
    place.file("config.yaml", &format!("{global}{section}"));
    let done = place.migrate("config.yaml").assert_code(1);
    assert!(!done.stderr.contains("not uploaded"), "{}", done.stderr);

    let state = place.path("data-migrate.d/config");
    let entries = place::list(&state).into_keys();
    let report = entries
        .into_iter()
        .find(|path| path.extension().is_some_and(|ending| ending == "md"))
        .unwrap();
    let report = fs::read_to_string(report).unwrap();
    let links: Vec<&str> = report
        .split("](<")
        .skip(1)
        .filter_map(|rest| rest.split(">)").next())
        .collect();
    assert_eq!(links.len(), 2, "{report}");
    for link in links {
        let (status, body) = get(link);
        assert_eq!(status, "200", "{link}");
        assert!(unpacked(&body).starts_with("task "), "{link}");
        let (link, last) = link.split_at(link.len() - 1);
        let other = if last == "0" { "1" } else { "0" };
        assert_eq!(get(&format!("{link}{other}")).0, "403");
    }

    // With another secret nothing is taken.
    let wrong = section.replace(garage::SECRET, &garage::SECRET.replace('0', "f"));
    place.file("config.yaml", &format!("{global}{wrong}"));
    let mut command = place.command(place::MAIN);
    command.args(["run", "--new-run", "--config.file", "config.yaml"]);
    let done = place.run(&mut command).assert_code(1);
    assert!(done.stderr.contains("HTTP status 403"), "{}", done.stderr);
}
