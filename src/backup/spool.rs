//! A part of the archive before its turn to be written: in memory while it is small, else in a file of the store.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use crate::fsx::{FileWriter, Fs};

/// More than this goes to disk, so that memory stays bounded whatever a file's size.
const IN_MEMORY: usize = 4 << 20;

/// Bytes that are written once and then read once.
pub(crate) struct Spool {
    fs: Fs,
    path: PathBuf,
    memory: Vec<u8>,
    file: Option<FileWriter>,
}

impl Spool {
    /// An empty spool; `path` is where it goes when it grows.
    pub(crate) fn new(fs: &Fs, path: PathBuf) -> Self {
        Spool { fs: fs.clone(), path, memory: Vec::new(), file: None }
    }

    /// What was written, for reading.
    pub(crate) fn into_reader(mut self) -> io::Result<Box<dyn Read + Send>> {
        let memory = std::mem::take(&mut self.memory);
        match self.file.take() {
            None => Ok(Box::new(io::Cursor::new(memory))),
            Some(_) => {
                let file = std::fs::File::open(&self.path)?;
                // Read through the open file: its name is no longer needed.
                self.fs.remove_file(&self.path)?;
                Ok(Box::new(file))
            }
        }
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + bytes.len() > IN_MEMORY {
            let _ = self.fs.remove_file(&self.path);
            let mut file = self.fs.create_file(&self.path)?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => {
                self.memory.extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = self.fs.remove_file(&self.path);
        }
    }
}
