//! Which version of the GNU C library an ELF file needs, and one symbol that needs it.
//!
//! Invariant: the work is bounded by the number of versions that the format can count, not by what the tables say.
//! Source: "ELF Symbol Versioning" in the Linux Standard Base, for the tables `.gnu.version` and `.gnu.version_r`.

use super::PreflightError;
use super::elf::{Elf, Symbols};
use super::image::{GlibcNeed, MOST_NAMES, Names};
use super::machine::GlibcVersion;
use super::source::{damaged, invalid, printable};
use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, SectionHeader, Sym};

/// The newest version that the file needs, or `None` when it needs no version of the GNU C library.
pub(super) fn glibc<H: FileHeader<Endian = Endianness>>(
    elf: &Elf<'_, H>,
    symbols: &Symbols<'_, H>,
) -> Result<Option<GlibcNeed>, PreflightError> {
    let Some((version, name, index)) = newest(elf)? else {
        return Ok(None);
    };
    Ok(Some(GlibcNeed {
        version,
        name,
        symbol: symbol_of(elf, symbols, index)?,
    }))
}

/// The newest version with its name and its number in the table of symbols' versions.
fn newest<H: FileHeader<Endian = Endianness>>(
    elf: &Elf<'_, H>,
) -> Result<Option<(GlibcVersion, String, u16)>, PreflightError> {
    let Some(section) = elf.section_of_type(elf::SHT_GNU_VERNEED) else {
        return Ok(None);
    };
    let Some((mut libraries, link)) = section
        .gnu_verneed(elf.endian, elf.source)
        .map_err(invalid)?
    else {
        return Ok(None);
    };
    let names = elf.texts_of(link.0)?;
    let mut newest = None;
    let mut seen = 0;
    while let Some((_, mut versions)) = libraries.next().map_err(invalid)? {
        while let Some(version) = versions.next().map_err(invalid)? {
            seen += 1;
            if seen > MOST_NAMES {
                return Err(damaged("it needs too many versions of libraries"));
            }
            // The loader does without a version that only weak symbols ask for.
            if version
                .vna_flags
                .get(elf.endian)
                .contains(elf::VER_FLG_WEAK)
            {
                continue;
            }
            let Some((number, name)) = parse(names, version.vna_name.get(elf.endian).into())?
            else {
                continue;
            };
            let index = version.vna_other(elf.endian).index().0;
            if newest.as_ref().is_none_or(|(best, _, _)| number > *best) {
                newest = Some((number, name, index));
            }
        }
    }
    Ok(newest)
}

/// `GLIBC_2.39`; other libraries' versions give `None`.
fn parse(names: Names<'_>, offset: u64) -> Result<Option<(GlibcVersion, String)>, PreflightError> {
    let name = printable(names.get(offset, "the version of a library")?);
    let number = match name.strip_prefix("GLIBC_") {
        // Packed relocations came with 2.36.
        Some("ABI_DT_RELR") => GlibcVersion::parse("2.36"),
        Some(number) => GlibcVersion::parse(number),
        None => None,
    };
    Ok(number.map(|number| (number, name)))
}

/// The first undefined symbol whose version has this number; a weak one only when there is no other.
fn symbol_of<H: FileHeader<Endian = Endianness>>(
    elf: &Elf<'_, H>,
    symbols: &Symbols<'_, H>,
    index: u16,
) -> Result<Option<String>, PreflightError> {
    let Some(section) = elf.section_of_type(elf::SHT_GNU_VERSYM) else {
        return Ok(None);
    };
    let Some((versions, _)) = section
        .gnu_versym(elf.endian, elf.source)
        .map_err(invalid)?
    else {
        return Ok(None);
    };
    let mut asking = symbols
        .table
        .iter()
        .zip(versions)
        .filter(|(symbol, version)| {
            symbol.is_undefined(elf.endian) && version.0.get(elf.endian).index().0 == index
        })
        .map(|(symbol, _)| symbol);
    let weak = asking.clone().next();
    let Some(symbol) = asking.find(|symbol| !symbol.is_weak()).or(weak) else {
        return Ok(None);
    };
    let name = symbols
        .names
        .get(symbol.st_name(elf.endian).into(), "the name of a symbol")?;
    Ok(Some(printable(name)))
}
