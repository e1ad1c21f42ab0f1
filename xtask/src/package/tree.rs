//! Files on their way into an archive: paths, modes, owners, contents. Writes them as a tar stream or as a folder, always in the same
//! order and with the same times.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// Who owns a file: 0 is root.
pub type Id = u32;

/// A file or folder.
#[derive(Debug)]
struct Entry {
    mode: u32,
    owner: Id,
    /// None is a folder.
    content: Option<Vec<u8>>,
}

/// Files by their paths, without a leading slash.
#[derive(Debug, Default)]
pub struct Tree(BTreeMap<String, Entry>);

impl Tree {
    /// Adds a file that everybody may read.
    pub fn file(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.add(path, 0o644, 0, Some(content.into()));
    }

    /// Adds a file that everybody may run.
    pub fn program(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.add(path, 0o755, 0, Some(content.into()));
    }

    /// Adds a folder of somebody's own.
    pub fn folder(&mut self, path: &str, mode: u32, owner: Id) {
        self.add(path, mode, owner, None);
    }

    fn add(&mut self, path: &str, mode: u32, owner: Id, content: Option<Vec<u8>>) {
        for (at, _) in path.match_indices('/') {
            let folder = Entry { mode: 0o755, owner: 0, content: None };
            self.0.entry(path[..at].to_owned()).or_insert(folder);
        }
        self.0.insert(path.to_owned(), Entry { mode, owner, content });
    }

    /// How many bytes the files have.
    pub fn bytes(&self) -> u64 {
        self.0.values().filter_map(|entry| entry.content.as_ref()).map(|content| content.len() as u64).sum()
    }

    /// The files, with their contents.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().filter_map(|(path, entry)| Some((path.as_str(), entry.content.as_deref()?)))
    }

    /// As a tar stream; every time is `epoch`.
    pub fn tar(&self, epoch: u64) -> Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for (path, entry) in &self.0 {
            let content = entry.content.as_deref().unwrap_or_default();
            let mut header = Header::new_ustar();
            header.set_entry_type(if entry.content.is_some() { EntryType::Regular } else { EntryType::Directory });
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.into());
            header.set_gid(entry.owner.into());
            header.set_mtime(epoch);
            header.set_size(content.len() as u64);
            let path = if entry.content.is_some() { path.clone() } else { format!("{path}/") };
            archive.append_data(&mut header, &path, content).with_context(|| format!("cannot pack {path}"))?;
        }
        archive.into_inner().context("cannot end an archive")
    }

    /// Writes it below an existing folder; who owns the files is then up to whoever packs that.
    pub fn write(&self, folder: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        for (path, entry) in &self.0 {
            let file = folder.join(path);
            match &entry.content {
                Some(content) => fs::write(&file, content),
                None => fs::create_dir_all(&file),
            }
            .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(entry.mode)))
            .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }
}

/// Compressed by gzip, without a name or a time in it.
pub fn gzip(content: &[u8], level: Compression) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), level);
    gzip.write_all(content).and_then(|()| gzip.finish()).context("cannot compress")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.program("usr/bin/larder", "x");
        tree.folder("var/lib/larder", 0o700, 65532);
        tree.file("etc/passwd", "root");
        tree
    }

    #[test]
    fn an_archive_has_the_folders_above_its_files_once_and_in_order() {
        let bytes = tree().tar(7).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), 7);
            let path = entry.path().unwrap().display().to_string();
            (path, header.mode().unwrap(), header.uid().unwrap())
        });
        let expected = [
            ("etc/", 0o755, 0),
            ("etc/passwd", 0o644, 0),
            ("usr/", 0o755, 0),
            ("usr/bin/", 0o755, 0),
            ("usr/bin/larder", 0o755, 0),
            ("var/", 0o755, 0),
            ("var/lib/", 0o755, 0),
            ("var/lib/larder/", 0o700, 65532),
        ];
        assert_eq!(entries.collect::<Vec<_>>(), expected.map(|(path, mode, uid)| (path.to_owned(), mode, uid)));
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let pack = || gzip(&tree().tar(7).unwrap(), Compression::default()).unwrap();
        assert_eq!(pack(), pack());
        assert_eq!(tree().bytes(), 5);
    }
}
