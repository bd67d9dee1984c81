//! Whatever kind of workspace it is: backup, changes, rollback, and git none the wiser.
