//! Three roads lead back: the executable, `rollback.sh`, `rollback.py`. One table of scenarios runs through all of
//! them, each from the same state, and what they leave (trees, displaced files, journals, times, reports, exit
//! codes, words) is held against the row and against the executable.
//!
//! A road whose interpreter is missing is skipped aloud. `BACKSTOP_TEST_ROLLBACK_SH` and `BACKSTOP_TEST_ROLLBACK_PY`
//! name other scripts than this project's, `BACKSTOP_TEST_ROW` picks rows by a part of their name.

mod again;
mod asked;
mod asking;
mod blocked;
mod changed;
mod crossed;
mod damaged;
mod git;
mod hostile;
mod kept;
mod named;
mod placed;
mod refused;
mod road;
mod row;
mod run;

pub(crate) use road::{bash, python};

use std::collections::BTreeSet;

use row::Row;
use run::run_rows;

#[test]
#[ignore = "part of torture: roads"]
fn what_changed_comes_back_by_each_road() {
    run_rows(changed::rows());
}

#[test]
#[ignore = "part of torture: roads"]
fn odd_names_come_back_by_each_road() {
    run_rows(named::rows());
}

#[test]
#[ignore = "part of torture: roads"]
fn what_is_asked_is_understood_alike_by_each_road() {
    run_rows(asked::rows());
}

#[test]
#[ignore = "part of torture: roads"]
fn a_damaged_store_is_met_alike_by_each_road() {
    run_rows(damaged::rows());
}

#[test]
#[ignore = "part of torture: roads"]
fn what_nobody_of_good_will_wrote_is_refused_by_each_road() {
    run_rows(hostile::rows());
}

#[test]
#[ignore = "part of torture: roads"]
fn what_git_and_the_settings_keep_out_is_left_alone_by_each_road() {
    run_rows(git::rows());
}

#[test]
#[ignore = "part of torture: roads"]
fn wherever_workspace_and_store_stand_each_road_finds_them() {
    run_rows(placed::rows());
}

/// The quick run's share of the table.
#[test]
fn one_row_of_each_table_comes_back_by_each_road() {
    run_rows(tables().into_iter().filter_map(|rows| rows.into_iter().next()).collect());
}

#[test]
fn the_table_has_sixty_rows_and_no_name_twice() {
    let tables = tables();
    let names: Vec<&str> = tables.iter().flatten().map(|row| row.name).collect();
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "{names:#?}");
    assert!(names.len() >= 60, "{} rows", names.len());
    eprintln!("{} rows", names.len());
}

fn tables() -> [Vec<Row>; 7] {
    [
        changed::rows(),
        named::rows(),
        asked::rows(),
        damaged::rows(),
        hostile::rows(),
        git::rows(),
        placed::rows(),
    ]
}
