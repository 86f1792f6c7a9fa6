//! Reads PE files: Windows.
//!
//! Invariant: as in `elf`, nothing is read before the file is known to be whole. Tables are read piece by piece:
//! the section that holds one may be hundreds of megabytes long.
//! Absent: delayed imports (Windows looks for them at the first call, not at load).

use super::PreflightError;
use super::image::{Image, Links, MOST_NAMES, REQUIRED, Shape, Spot, missing, only_section};
use super::machine::Platform;
use super::record::Place;
use super::source::{Source, damaged, invalid};
use object::pe;
use object::read::ReadRef;
use object::read::coff::SectionTable;
use object::read::pe::{DataDirectories, ImageNtHeaders};
use object::{LittleEndian as LE, U16, U32};
use plugin_abi::handshake::{MAX_SIZE, SECTION, SYMBOL};

/// Sections that an image may have; Windows itself stops at 96.
const MOST_SECTIONS: usize = 1024;
/// Names that an image may export: their numbers have 16 bits.
const MOST_EXPORTS: u32 = 65_536;

/// Reads a file that starts with `MZ`. `None` when it is no PE file after all.
pub(super) fn read(source: Source<'_>) -> Result<Option<Image>, PreflightError> {
    source.expect(size_of::<pe::ImageDosHeader>() as u64)?;
    let dos = pe::ImageDosHeader::parse(source).map_err(invalid)?;
    let start = u64::from(dos.nt_headers_offset());
    // The signature, the file header, and the word that says how wide the rest is.
    source.expect(start.saturating_add(26))?;
    if source.bytes(start, 4, "its PE header is")? != b"PE\0\0" {
        return Ok(None);
    }
    let width: &U16<LE> = source
        .read_at(start + 24)
        .map_err(|()| damaged("its PE header is outside the file"))?;
    let image = match width.get(LE) {
        pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC => read_width::<pe::ImageNtHeaders64>(source, start)?,
        pe::IMAGE_NT_OPTIONAL_HDR32_MAGIC => read_width::<pe::ImageNtHeaders32>(source, start)?,
        other => return Err(damaged(format!("no PE header has the number {other:#x}"))),
    };
    Ok(Some(image))
}

struct Pe<'a> {
    source: Source<'a>,
    directories: DataDirectories<'a>,
    sections: SectionTable<'a>,
}

fn read_width<H: ImageNtHeaders>(source: Source<'_>, start: u64) -> Result<Image, PreflightError> {
    let mut offset = start;
    source.expect(start.saturating_add(size_of::<H>() as u64))?;
    let header = source
        .read_at::<H>(start)
        .map_err(|()| damaged("its PE header is outside the file"))?;
    let file = header.file_header();
    let tables = start
        .saturating_add(24)
        .saturating_add(u64::from(file.size_of_optional_header.get(LE)))
        .saturating_add(
            u64::from(file.number_of_sections.get(LE)) * size_of::<pe::ImageSectionHeader>() as u64,
        );
    source.expect(tables.max(symbols_end(source, file)))?;
    let (header, directories) = H::parse(source, &mut offset).map_err(invalid)?;
    let pe = Pe {
        source,
        directories,
        sections: header.sections(source, offset).map_err(invalid)?,
    };
    if pe.sections.len() > MOST_SECTIONS {
        return Err(damaged("it has too many sections"));
    }
    source.expect(pe.promised())?;
    let library = file.characteristics.get(LE).contains(pe::IMAGE_FILE_DLL);
    let (found, symbol) = pe.exported()?;
    let spot = match pe.record_section()? {
        Some(spot) => Some(spot),
        None => symbol,
    };
    Ok(Image {
        format: super::Format::Pe,
        shape: if library {
            Shape::Library
        } else {
            Shape::Executable
        },
        platform: platform(file.machine.get(LE), header.is_type_64()),
        handshake: spot.map(|spot| spot.read(source, true)).transpose()?,
        not_exported: missing(found),
        links: Links {
            needed: pe.imports()?,
            ..Links::default()
        },
        compiler: None,
    })
}

/// Where the symbols and their names end that GNU linkers leave in a file; 0 when there are none.
fn symbols_end(source: Source<'_>, file: &pe::ImageFileHeader) -> u64 {
    let start = u64::from(file.pointer_to_symbol_table.get(LE));
    if start == 0 {
        return 0;
    }
    let symbols = u64::from(file.number_of_symbols.get(LE)) * pe::IMAGE_SIZEOF_SYMBOL as u64;
    let names = start + symbols;
    // The names start with their own length.
    let length = source.read_at::<U32<LE>>(names).map_or(4, |n| n.get(LE));
    names + u64::from(length.max(4))
}

impl Pe<'_> {
    /// Where the last byte of a section, or of the signatures behind the image, ends.
    fn promised(&self) -> u64 {
        // Signatures are found by their place in the file, other than all else in these directories.
        let signatures = self
            .directories
            .get(pe::IMAGE_DIRECTORY_ENTRY_SECURITY)
            .map_or(0, |entry| {
                u64::from(entry.virtual_address.get(LE)) + u64::from(entry.size.get(LE))
            });
        let sections = self
            .sections
            .iter()
            .filter(|section| section.pointer_to_raw_data.get(LE) != 0);
        sections
            .map(|section| {
                u64::from(section.pointer_to_raw_data.get(LE))
                    + u64::from(section.size_of_raw_data.get(LE))
            })
            .max()
            .unwrap_or(0)
            .max(signatures)
    }

    fn record_section(&self) -> Result<Option<Spot>, PreflightError> {
        let spots: Vec<Spot> = self
            .sections
            .iter()
            .filter(|section| section.raw_name() == SECTION.as_bytes())
            .map(|section| {
                let (offset, size) = section.pe_file_range();
                Spot {
                    offset: offset.into(),
                    size: size.into(),
                    place: Place::Section,
                }
            })
            .collect();
        only_section(&spots)
    }

    /// The place in the file of an address in the image, and the bytes from there to the end of its section.
    fn offset_of(&self, address: u32, what: &str) -> Result<(u64, u64), PreflightError> {
        let (offset, size) = self
            .sections
            .pe_file_range_at(address)
            .ok_or_else(|| damaged(format!("{what} in no section")))?;
        Ok((offset.into(), size.into()))
    }

    /// The libraries that it imports from.
    fn imports(&self) -> Result<Vec<String>, PreflightError> {
        let mut names = Vec::new();
        let Some(directory) = self.directories.get(pe::IMAGE_DIRECTORY_ENTRY_IMPORT) else {
            return Ok(names);
        };
        let (mut offset, _) =
            self.offset_of(directory.virtual_address.get(LE), "its imports are")?;
        loop {
            let import = self
                .source
                .read::<pe::ImageImportDescriptor>(&mut offset)
                .map_err(|()| damaged("its imports do not end"))?;
            // The loader stops at an entry without a name.
            if import.is_null() || import.name.get(LE) == 0 {
                return Ok(names);
            }
            if names.len() == MOST_NAMES {
                return Err(damaged("it names too many libraries"));
            }
            let (name, _) = self.offset_of(import.name.get(LE), "the name of a library is")?;
            names.push(self.source.text(name, "the name of a library")?);
        }
    }

    /// Which of the required symbols are exported, and where the record's is.
    fn exported(&self) -> Result<([bool; REQUIRED.len()], Option<Spot>), PreflightError> {
        let mut found = [false; REQUIRED.len()];
        let mut spot = None;
        let Some(entry) = self.directories.get(pe::IMAGE_DIRECTORY_ENTRY_EXPORT) else {
            return Ok((found, spot));
        };
        let (offset, _) = self.offset_of(entry.virtual_address.get(LE), "its exports are")?;
        let directory = self
            .source
            .read_at::<pe::ImageExportDirectory>(offset)
            .map_err(|()| damaged("its exports are outside the file"))?;
        let count = directory.number_of_names.get(LE);
        if count == 0 {
            return Ok((found, spot));
        }
        if count > MOST_EXPORTS {
            return Err(damaged("it exports too many names"));
        }
        let names: &[U32<LE>] = self.table(directory.address_of_names.get(LE), count)?;
        let ordinals: &[U16<LE>] = self.table(directory.address_of_name_ordinals.get(LE), count)?;
        for (address, ordinal) in names.iter().zip(ordinals) {
            let Some(name) = self.required(address.get(LE))? else {
                continue;
            };
            for (found, required) in found.iter_mut().zip(REQUIRED) {
                *found |= required == name;
            }
            if name == SYMBOL {
                spot = Some(self.exported_spot(directory, ordinal.get(LE))?);
            }
        }
        Ok((found, spot))
    }

    /// Which required symbol has its name at `address`.
    fn required(&self, address: u32) -> Result<Option<&'static str>, PreflightError> {
        let (offset, rest) = self.offset_of(address, "the name of an export is")?;
        for name in REQUIRED {
            let size = name.len() as u64 + 1;
            if size > rest {
                continue;
            }
            let bytes = self
                .source
                .bytes(offset, size, "the name of an export is")?;
            if bytes.strip_suffix(b"\0") == Some(name.as_bytes()) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Where the data is that has this number among the exports.
    fn exported_spot(
        &self,
        directory: &pe::ImageExportDirectory,
        ordinal: u16,
    ) -> Result<Spot, PreflightError> {
        if u32::from(ordinal) >= directory.number_of_functions.get(LE) {
            return Err(damaged("an export has a number that none has"));
        }
        let functions: &[U32<LE>] = self.table(
            directory.address_of_functions.get(LE),
            u32::from(ordinal) + 1,
        )?;
        let address = functions.last().map_or(0, |address| address.get(LE));
        let (offset, rest) = self.offset_of(address, "its record is")?;
        Ok(Spot {
            offset,
            size: rest.min(MAX_SIZE as u64),
            place: Place::Symbol,
        })
    }

    /// `count` entries of a table at `address`.
    fn table<T: object::Pod>(&self, address: u32, count: u32) -> Result<&[T], PreflightError> {
        let (offset, rest) = self.offset_of(address, "a table of its exports is")?;
        let size = u64::from(count) * size_of::<T>() as u64;
        if size > rest {
            return Err(damaged("a table of its exports is cut off"));
        }
        self.source
            .read_slice_at(offset, count as usize)
            .map_err(|()| damaged("a table of its exports is outside the file"))
    }
}

fn platform(machine: pe::Machine, wide: bool) -> Platform {
    let pointer_width = if wide { 64 } else { 32 };
    let arch = match machine {
        pe::IMAGE_FILE_MACHINE_AMD64 => "x86_64",
        pe::IMAGE_FILE_MACHINE_I386 => "x86",
        pe::IMAGE_FILE_MACHINE_ARM64 => "aarch64",
        pe::IMAGE_FILE_MACHINE_ARMNT | pe::IMAGE_FILE_MACHINE_ARM => "arm",
        other => {
            return Platform::new(
                &format!("processor {:#x}", other.0),
                "windows",
                pointer_width,
            );
        }
    };
    Platform::new(arch, "windows", pointer_width)
}
