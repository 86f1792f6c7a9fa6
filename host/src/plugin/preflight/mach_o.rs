//! Reads Mach-O files: macOS.
//!
//! Invariant: as in `elf`, nothing is read before the file is known to be whole.
//! Absent: the parts of universal files; they are refused, because one file would stand for several plugins.

use super::PreflightError;
use super::image::{Image, Links, Names, REQUIRED, Shape, Spot, missing, only_section};
use super::machine::Platform;
use super::record::Place;
use super::source::{Source, damaged, invalid, printable};
use object::Endianness;
use object::macho;
use object::read::ReadRef;
use object::read::macho::{
    LoadCommandData, LoadCommandIterator, MachHeader, Nlist, Section, Segment,
};
use plugin_abi::handshake::{MAX_SIZE, SECTION_MACH_O, SYMBOL};

/// Reads a file that starts with the Mach-O magic for 64 or 32 bits.
pub(super) fn read(source: Source<'_>, wide: bool) -> Result<Image, PreflightError> {
    if wide {
        read_width::<macho::MachHeader64<Endianness>>(source)
    } else {
        read_width::<macho::MachHeader32<Endianness>>(source)
    }
}

/// What the load commands say.
struct Commands<'a, H: MachHeader<Endian = Endianness>> {
    source: Source<'a>,
    endian: Endianness,
    os: &'static str,
    links: Links,
    segments: Vec<(&'a H::Segment, &'a [H::Section])>,
    symbols: Option<&'a macho::SymtabCommand<Endianness>>,
}

fn read_width<H: MachHeader<Endian = Endianness>>(
    source: Source<'_>,
) -> Result<Image, PreflightError> {
    let start = size_of::<H>() as u64;
    source.expect(start)?;
    let header = H::parse(source, 0).map_err(invalid)?;
    let endian = header.endian().map_err(invalid)?;
    source.expect(start + u64::from(header.sizeofcmds(endian)))?;
    let commands = Commands::<H>::read(
        source,
        endian,
        header.load_commands(endian, source, 0).map_err(invalid)?,
    )?;
    source.expect(commands.promised())?;
    let (found, symbol) = commands.exported()?;
    let spot = match commands.record_section()? {
        Some(spot) => Some(spot),
        None => symbol,
    };
    Ok(Image {
        format: super::Format::MachO,
        shape: match header.filetype(endian) {
            macho::MH_DYLIB | macho::MH_BUNDLE => Shape::Library,
            macho::MH_EXECUTE => Shape::Executable,
            macho::MH_OBJECT => Shape::Object("a Mach-O object file"),
            macho::MH_CORE => Shape::Object("a core dump"),
            _ => Shape::Object("a Mach-O file of another kind"),
        },
        platform: platform(header.cputype(endian), commands.os, header.is_type_64()),
        handshake: spot
            .map(|spot| spot.read(source, endian == Endianness::Little))
            .transpose()?,
        not_exported: missing(found),
        links: commands.links,
        compiler: None,
    })
}

impl<'a, H: MachHeader<Endian = Endianness>> Commands<'a, H> {
    fn read(
        source: Source<'a>,
        endian: Endianness,
        mut commands: LoadCommandIterator<'a, Endianness>,
    ) -> Result<Self, PreflightError> {
        let mut all = Self {
            source,
            endian,
            os: "macos",
            links: Links::default(),
            segments: Vec::new(),
            symbols: None,
        };
        while let Some(command) = commands.next().map_err(invalid)? {
            all.take(command)?;
        }
        Ok(all)
    }

    fn take(&mut self, command: LoadCommandData<'a, Endianness>) -> Result<(), PreflightError> {
        let endian = self.endian;
        let text = |place| {
            command
                .string(endian, place)
                .map(printable)
                .map_err(invalid)
        };
        if let Some((segment, sections)) = H::Segment::from_command(command).map_err(invalid)? {
            let sections = segment.sections(endian, sections).map_err(invalid)?;
            self.segments.push((segment, sections));
        } else if let Some(symbols) = command.symtab().map_err(invalid)? {
            self.symbols = Some(symbols);
        } else if let Some(library) = command.dylib().map_err(invalid)? {
            self.links.needed.push(text(library.dylib.name)?);
        } else if command.cmd() == macho::LC_ID_DYLIB {
            let id: &macho::DylibCommand<Endianness> = command.data().map_err(invalid)?;
            self.links.soname = Some(text(id.dylib.name)?);
        } else if command.cmd() == macho::LC_RPATH {
            let folder: &macho::RpathCommand<Endianness> = command.data().map_err(invalid)?;
            self.links.rpath.push(text(folder.path)?);
        } else if let Some((version, _)) = command.build_version(endian).map_err(invalid)? {
            self.os = match version.platform.get(endian) {
                macho::PLATFORM_MACOS => "macos",
                macho::PLATFORM_IOS => "ios",
                _ => "another system of Apple's",
            };
        }
        Ok(())
    }

    /// Where the last byte of a segment, or of the symbols and their names, ends.
    fn promised(&self) -> u64 {
        let segments = self
            .segments
            .iter()
            .map(|(segment, _)| segment.file_range(self.endian))
            .filter(|(_, size)| *size > 0);
        let symbols = self.symbols.iter().flat_map(|symbols| {
            let table = u64::from(symbols.nsyms.get(self.endian)) * size_of::<H::Nlist>() as u64;
            [
                (symbols.symoff.get(self.endian).into(), table),
                (
                    symbols.stroff.get(self.endian).into(),
                    symbols.strsize.get(self.endian).into(),
                ),
            ]
        });
        segments
            .chain(symbols)
            .map(|(offset, size)| offset.saturating_add(size))
            .max()
            .unwrap_or(0)
    }

    fn record_section(&self) -> Result<Option<Spot>, PreflightError> {
        let (segment_name, section_name) = SECTION_MACH_O;
        let mut spots = Vec::new();
        for (segment, sections) in &self.segments {
            for (section, offset) in segment
                .section_offsets(self.endian, sections)
                .filter_map(Result::ok)
            {
                if section.name() == section_name.as_bytes()
                    && section.segment_name() == segment_name.as_bytes()
                {
                    spots.push(Spot {
                        offset,
                        size: section.file_size(self.endian).unwrap_or(0),
                        place: Place::Section,
                    });
                }
            }
        }
        only_section(&spots)
    }

    /// Which of the required symbols are exported, and where the record's is. Their names start with `_` here.
    fn exported(&self) -> Result<([bool; REQUIRED.len()], Option<Spot>), PreflightError> {
        let mut found = [false; REQUIRED.len()];
        let mut spot = None;
        let Some(symbols) = self.symbols else {
            return Ok((found, spot));
        };
        let table: &[H::Nlist] = self
            .source
            .read_slice_at(
                symbols.symoff.get(self.endian).into(),
                symbols.nsyms.get(self.endian) as usize,
            )
            .map_err(|()| damaged("its symbols are outside the file"))?;
        let names = Names(self.source.bytes(
            symbols.stroff.get(self.endian).into(),
            symbols.strsize.get(self.endian).into(),
            "its names of symbols are",
        )?);
        let exported = table.iter().filter(|symbol| {
            let kind = symbol.n_type();
            !symbol.is_stab() && kind.contains(macho::N_EXT) && kind.typ() == macho::N_SECT
        });
        for symbol in exported {
            let name = u64::from(symbol.n_strx(self.endian));
            if names.0.get(name as usize) != Some(&b'_') {
                continue;
            }
            for (required, found) in REQUIRED.iter().zip(&mut found) {
                if !names.is(name + 1, required) {
                    continue;
                }
                *found = true;
                if *required == SYMBOL {
                    spot = Some(self.spot(symbol.n_value(self.endian).into())?);
                }
            }
        }
        Ok((found, spot))
    }

    /// The place in the file of an address in memory.
    fn spot(&self, address: u64) -> Result<Spot, PreflightError> {
        let place = self.segments.iter().find_map(|(segment, _)| {
            let (offset, size) = segment.file_range(self.endian);
            let inside = address.checked_sub(segment.vmaddr(self.endian).into())?;
            (inside < size).then(|| (offset.saturating_add(inside), size - inside))
        });
        let Some((offset, rest)) = place else {
            return Err(PreflightError::DamagedRecord {
                what: "its symbol points at no bytes of the file".into(),
            });
        };
        Ok(Spot {
            offset,
            size: rest.min(MAX_SIZE as u64),
            place: Place::Symbol,
        })
    }
}

fn platform(processor: macho::CpuType, os: &str, wide: bool) -> Platform {
    let pointer_width = if wide { 64 } else { 32 };
    let arch = match processor {
        macho::CPU_TYPE_X86_64 => "x86_64",
        macho::CPU_TYPE_X86 => "x86",
        macho::CPU_TYPE_ARM64 => "aarch64",
        macho::CPU_TYPE_ARM => "arm",
        other => return Platform::new(&format!("processor {:#x}", other.0), os, pointer_width),
    };
    Platform::new(arch, os, pointer_width)
}
