//! JSON that people can read and `grep`: a line for each field and each entry.

/// Compact JSON with a line for each field of the manifest and for each element of its arrays.
#[derive(Default)]
pub(super) struct LineFormatter {
    depth: usize,
    array_depth: usize,
}

impl serde_json::ser::Formatter for LineFormatter {
    fn begin_object<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        self.depth += 1;
        w.write_all(b"{")
    }

    fn end_object<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        self.depth -= 1;
        w.write_all(if self.depth == 0 { b"\n}" } else { b"}" })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        w.write_all(match (first, self.depth) {
            (true, 1) => b"\n  ",
            (false, 1) => b",\n  ",
            (true, _) => b"",
            (false, _) => b", ",
        })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        w.write_all(b": ")
    }

    fn begin_array<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        self.array_depth += 1;
        w.write_all(b"[")
    }

    fn end_array<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        self.array_depth -= 1;
        w.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        let own_line = self.depth == 1 && self.array_depth == 1;
        w.write_all(match (first, own_line) {
            (true, true) => b"\n    ",
            (false, true) => b",\n    ",
            (true, false) => b"",
            (false, false) => b", ",
        })
    }
}
