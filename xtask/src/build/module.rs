//! The names a wasm module imports and exports, read from its binary form (WebAssembly core specification, section 5.5).
//! Reads those two sections and skips the rest; validates nothing else. Total: any bytes give a result or an error.

use anyhow::{Context, Result, bail, ensure};

/// What a module asks for and offers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// `module.name` of each import.
    pub imports: Vec<String>,
    /// The name of each export.
    pub exports: Vec<String>,
}

const MAGIC: &[u8] = b"\0asm\x01\0\0\0";
const IMPORTS: u8 = 2;
const EXPORTS: u8 = 7;

/// Reads the names of a module.
pub fn read(bytes: &[u8]) -> Result<Names> {
    let mut module =
        Reader(bytes.strip_prefix(MAGIC).context("it does not begin with wasm's magic number and version 1")?);
    let mut names = Names::default();
    while !module.0.is_empty() {
        let section = module.byte()?;
        let length = module.number()?;
        let mut content = Reader(module.take(length)?);
        match section {
            IMPORTS => names.imports = content.list(import)?,
            EXPORTS => names.exports = content.list(export)?,
            _ => {}
        }
    }
    Ok(names)
}

fn import(reader: &mut Reader<'_>) -> Result<String> {
    let name = format!("{}.{}", reader.name()?, reader.name()?);
    match reader.byte()? {
        // A function's type, a table's element type and limits, a memory's limits, a global's type, a tag's attribute and type.
        0 => reader.skip_numbers(1)?,
        1 => {
            reader.skip_numbers(1)?;
            reader.limits()?;
        }
        2 => reader.limits()?,
        3 => reader.skip_numbers(2)?,
        4 => reader.skip_numbers(2)?,
        kind => bail!("{name} is an import of unknown kind {kind}"),
    }
    Ok(name)
}

fn export(reader: &mut Reader<'_>) -> Result<String> {
    let name = reader.name()?.to_owned();
    reader.byte()?;
    reader.skip_numbers(1)?;
    Ok(name)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8> {
        let (&first, rest) = self.0.split_first().context("it ends too early")?;
        self.0 = rest;
        Ok(first)
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length as usize).context("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    /// An unsigned LEB128 number of at most 32 bits.
    fn number(&mut self) -> Result<u32> {
        let mut number = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).context("a number is too large");
            }
        }
        bail!("a number is too long")
    }

    fn name(&mut self) -> Result<&'a str> {
        let length = self.number()?;
        std::str::from_utf8(self.take(length)?).context("a name is not UTF-8")
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.number()?;
        let items = (0..count).map(|_| item(self)).collect::<Result<_>>()?;
        ensure!(self.0.is_empty(), "a section is longer than its list");
        Ok(items)
    }

    fn skip_numbers(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.number()?;
        }
        Ok(())
    }

    fn limits(&mut self) -> Result<()> {
        let flags = self.byte()?;
        self.skip_numbers(if flags & 1 == 0 { 1 } else { 2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(sections: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (id, content) in sections {
            bytes.push(*id);
            bytes.push(u8::try_from(content.len()).unwrap());
            bytes.extend_from_slice(content);
        }
        bytes
    }

    #[test]
    fn imports_of_every_kind_and_exports_are_named() {
        let imports = b"\x05\x03env\x09proxy_log\x00\x07\x01m\x01t\x01\x70\x00\x01\x01m\x01m\x02\x01\x01\x02\x01m\x01g\x03\x7f\x00\x01m\x01x\x04\x00\x02";
        let exports = b"\x02\x06memory\x02\x00\x03run\x00\x81\x01";
        let names = read(&module(&[(1, b"ignored"), (IMPORTS, imports), (EXPORTS, exports)])).unwrap();
        assert_eq!(names.imports, ["env.proxy_log", "m.t", "m.m", "m.g", "m.x"]);
        assert_eq!(names.exports, ["memory", "run"]);
    }

    #[test]
    fn broken_modules_are_refused_at_every_length() {
        let whole = module(&[(IMPORTS, b"\x01\x03env\x09proxy_log\x00\x07")]);
        assert!(read(&whole).is_ok());
        // Shorter than a section is broken; exactly the header is an empty module.
        for length in (0..whole.len()).filter(|&length| length != MAGIC.len()) {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        assert!(read(&module(&[(IMPORTS, b"\xff\xff\xff\xff\xff\x01")])).is_err());
    }
}
