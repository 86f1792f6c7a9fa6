//! Reads ELF files: Linux and its relatives.
//!
//! Invariant: nothing is read before the file has been found to be as long as its headers promise. What the
//! system's loader goes by (segments, dynamic table) is read from where the loader reads it.
//! Absent: what fits this machine (`check`), where libraries are looked for (`dependencies`).

use super::PreflightError;
use super::elf_versions::glibc;
use super::image::{Image, Links, MOST_NAMES, Names, REQUIRED, Shape, Spot, missing, only_section};
use super::machine::Platform;
use super::record::Place;
use super::source::{Source, damaged, invalid, printable};
use object::Endianness;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use plugin_abi::handshake::{MAX_SIZE, SECTION, SYMBOL};

/// Reads a file that starts with the ELF magic.
pub(super) fn read(source: Source<'_>) -> Result<Image, PreflightError> {
    // The fifth byte gives the size of everything else.
    match source.head(5).get(4) {
        None | Some(1) => read_class::<elf::FileHeader32<Endianness>>(source),
        Some(2) => read_class::<elf::FileHeader64<Endianness>>(source),
        Some(other) => Err(damaged(format!("no ELF class has the number {other}"))),
    }
}

/// The tables of an ELF file.
pub(super) struct Elf<'a, H: FileHeader<Endian = Endianness>> {
    pub source: Source<'a>,
    pub endian: Endianness,
    pub header: &'a H,
    segments: &'a [H::ProgramHeader],
    pub sections: &'a [H::SectionHeader],
    dynamic: &'a [H::Dyn],
}

fn read_class<H: FileHeader<Endian = Endianness>>(
    source: Source<'_>,
) -> Result<Image, PreflightError> {
    source.expect(size_of::<H>() as u64)?;
    let header = H::parse(source).map_err(invalid)?;
    let endian = header.endian().map_err(invalid)?;
    let mut image = Image {
        format: super::Format::Elf,
        shape: Shape::Library,
        platform: platform(header, endian),
        handshake: None,
        not_exported: Vec::new(),
        links: Links::default(),
        compiler: None,
    };
    match header.e_type(endian) {
        elf::ET_DYN | elf::ET_EXEC => {}
        other => {
            image.shape = Shape::Object(match other {
                elf::ET_REL => "an ELF object file",
                elf::ET_CORE => "a core dump",
                _ => "an ELF file of an unknown kind",
            });
            return Ok(image);
        }
    }
    let elf = Elf::<H>::open(source, header, endian)?;
    let names = elf.dynamic_names()?;
    image.links = elf.links(names)?;
    if elf.is_executable(&image.links) {
        image.shape = Shape::Executable;
    }
    image.compiler = elf.compiler();
    let symbols = elf.symbols()?;
    image.links.glibc = glibc(&elf, &symbols)?;
    let (found, symbol) = elf.exported(&symbols)?;
    image.not_exported = missing(found);
    let spot = match elf.record_section()? {
        Some(spot) => Some(spot),
        None => symbol,
    };
    if let Some(spot) = spot {
        image.handshake = Some(spot.read(source, endian == Endianness::Little)?);
    }
    Ok(image)
}

/// The dynamic symbols with their names.
pub(super) struct Symbols<'a, H: FileHeader<Endian = Endianness>> {
    pub table: &'a [H::Sym],
    pub names: Names<'a>,
}

impl<'a, H: FileHeader<Endian = Endianness>> Elf<'a, H> {
    /// Reads the tables that everything else is found by, and checks that the file is whole.
    fn open(source: Source<'a>, header: &'a H, endian: Endianness) -> Result<Self, PreflightError> {
        // The tables themselves first: the section headers are the last thing in most files.
        let table = |offset: u64, count: u16, size: u16| {
            offset.saturating_add(u64::from(count) * u64::from(size))
        };
        source.expect(
            table(
                header.e_phoff(endian).into(),
                header.e_phnum(endian),
                header.e_phentsize(endian),
            )
            .max(table(
                header.e_shoff(endian).into(),
                header.e_shnum(endian),
                header.e_shentsize(endian),
            )),
        )?;
        let mut elf = Self {
            source,
            endian,
            header,
            segments: header.program_headers(endian, source).map_err(invalid)?,
            sections: header.section_headers(endian, source).map_err(invalid)?,
            dynamic: &[],
        };
        source.expect(elf.promised())?;
        for segment in elf.segments {
            if let Some(dynamic) = segment.dynamic(endian, source).map_err(invalid)? {
                elf.dynamic = dynamic;
            }
        }
        Ok(elf)
    }

    /// Where the last byte of a segment or section ends.
    fn promised(&self) -> u64 {
        let segments = self
            .segments
            .iter()
            .map(|segment| segment.file_range(self.endian));
        let sections = self
            .sections
            .iter()
            // The first, unused header may hold numbers that found no place elsewhere.
            .filter(|section| section.sh_type(self.endian) != elf::SHT_NULL)
            .filter_map(|section| section.file_range(self.endian));
        segments
            .chain(sections)
            .filter(|(_, size)| *size > 0)
            .map(|(offset, size)| offset.saturating_add(size))
            .max()
            .unwrap_or(0)
    }

    /// The dynamic entries up to the terminator.
    fn dynamics(&self) -> impl Iterator<Item = (elf::DynamicTag, u64)> {
        self.dynamic
            .iter()
            .map(|entry| (entry.tag(self.endian), entry.val(self.endian)))
            .take_while(|(tag, _)| *tag != elf::DT_NULL)
    }

    fn dynamic_value(&self, wanted: elf::DynamicTag) -> Option<u64> {
        self.dynamics()
            .find(|(tag, _)| *tag == wanted)
            .map(|(_, value)| value)
    }

    /// The texts that the dynamic table points into.
    fn dynamic_names(&self) -> Result<Names<'a>, PreflightError> {
        let Some(address) = self.dynamic_value(elf::DT_STRTAB) else {
            return Ok(Names(&[]));
        };
        let size = self.dynamic_value(elf::DT_STRSZ).unwrap_or(0);
        let offset = self
            .offset_of(address)
            .ok_or_else(|| damaged("its dynamic texts are in no segment"))?;
        let bytes = self.source.bytes(offset, size, "its dynamic texts reach")?;
        Ok(Names(bytes))
    }

    /// The place in the file of an address in memory.
    fn offset_of(&self, address: u64) -> Option<u64> {
        self.segments
            .iter()
            .filter(|segment| segment.p_type(self.endian) == elf::PT_LOAD)
            .find_map(|segment| {
                let (offset, size) = segment.file_range(self.endian);
                let inside = address.checked_sub(segment.p_vaddr(self.endian).into())?;
                (inside < size).then(|| offset.saturating_add(inside))
            })
    }

    fn links(&self, names: Names<'a>) -> Result<Links, PreflightError> {
        let mut links = Links::default();
        for (tag, value) in self.dynamics() {
            let text = || names.get(value, "the name of a library").map(printable);
            let folders = || {
                let text = text()?;
                let folders = text.split(':').filter(|folder| !folder.is_empty());
                Ok::<_, PreflightError>(folders.map(str::to_owned).collect())
            };
            match tag {
                elf::DT_NEEDED => links.needed.push(text()?),
                elf::DT_SONAME => links.soname = Some(text()?),
                elf::DT_RPATH => links.rpath = folders()?,
                elf::DT_RUNPATH => links.runpath = folders()?,
                _ => {}
            }
            if links.needed.len() > MOST_NAMES {
                return Err(damaged("it names too many libraries"));
            }
        }
        Ok(links)
    }

    /// Whether the kernel runs it, as opposed to a loader opening it.
    ///
    /// Position-independent executables have the type of shared libraries and a flag that tells them apart. Linkers
    /// before 2015 did not set it: theirs have an interpreter and, unlike libraries that can be run, no name.
    fn is_executable(&self, links: &Links) -> bool {
        let flags = self.dynamic_value(elf::DT_FLAGS_1).unwrap_or(0);
        let interpreter = self
            .segments
            .iter()
            .any(|segment| segment.p_type(self.endian) == elf::PT_INTERP);
        self.header.e_type(self.endian) == elf::ET_EXEC
            || flags & elf::DF_1_PIE.0 != 0
            || interpreter && links.soname.is_none()
    }

    fn section_names(&self) -> Result<Names<'a>, PreflightError> {
        if self.sections.is_empty() {
            return Ok(Names(&[]));
        }
        let index = self
            .header
            .section_strings_index(self.endian, self.source)
            .map_err(invalid)?;
        self.texts_of(index.0)
    }

    /// The texts in section number `index`.
    pub fn texts_of(&self, index: usize) -> Result<Names<'a>, PreflightError> {
        let section = self
            .sections
            .get(index)
            .ok_or_else(|| damaged("its section of names is missing"))?;
        let bytes = section.data(self.endian, self.source).map_err(invalid)?;
        Ok(Names(bytes))
    }

    /// The first section of this type.
    pub fn section_of_type(&self, wanted: elf::SectionType) -> Option<&'a H::SectionHeader> {
        self.sections
            .iter()
            .find(|section| section.sh_type(self.endian) == wanted)
    }

    fn record_section(&self) -> Result<Option<Spot>, PreflightError> {
        let names = self.section_names()?;
        let spots: Vec<Spot> = self
            .sections
            .iter()
            .filter(|section| names.is(section.sh_name(self.endian).into(), SECTION))
            .map(|section| {
                let (offset, size) = section.file_range(self.endian).unwrap_or((0, 0));
                Spot {
                    offset,
                    size,
                    place: Place::Section,
                }
            })
            .collect();
        only_section(&spots)
    }

    fn symbols(&self) -> Result<Symbols<'a, H>, PreflightError> {
        let Some(section) = self.section_of_type(elf::SHT_DYNSYM) else {
            return Ok(Symbols {
                table: &[],
                names: Names(&[]),
            });
        };
        Ok(Symbols {
            table: section
                .data_as_array(self.endian, self.source)
                .map_err(invalid)?,
            names: self.texts_of(section.link(self.endian).0)?,
        })
    }

    /// Which of the required symbols are exported, and where the record's is.
    fn exported(
        &self,
        symbols: &Symbols<'a, H>,
    ) -> Result<([bool; REQUIRED.len()], Option<Spot>), PreflightError> {
        let mut found = [false; REQUIRED.len()];
        let mut spot = None;
        let exported = symbols.table.iter().filter(|symbol| {
            !symbol.is_undefined(self.endian)
                && !symbol.is_local()
                && matches!(
                    symbol.st_visibility(),
                    elf::STV_DEFAULT | elf::STV_PROTECTED
                )
        });
        for symbol in exported {
            for (name, found) in REQUIRED.iter().zip(&mut found) {
                if !symbols.names.is(symbol.st_name(self.endian).into(), name) {
                    continue;
                }
                *found = true;
                if *name == SYMBOL {
                    let address = symbol.st_value(self.endian).into();
                    let offset =
                        self.offset_of(address)
                            .ok_or_else(|| PreflightError::DamagedRecord {
                                what: "its symbol points at no bytes of the file".into(),
                            })?;
                    let size: u64 = symbol.st_size(self.endian).into();
                    let rest = self.source.size().saturating_sub(offset);
                    spot = Some(Spot {
                        offset,
                        size: if size == 0 { MAX_SIZE as u64 } else { size }.min(rest),
                        place: Place::Symbol,
                    });
                }
            }
        }
        Ok((found, spot))
    }

    /// What the section `.comment` says of the compiler: `rustc 1.95.0`, else the first entry.
    fn compiler(&self) -> Option<String> {
        let names = self.section_names().ok()?;
        let section = self
            .sections
            .iter()
            .find(|section| names.is(section.sh_name(self.endian).into(), ".comment"))?;
        let (offset, size) = section.file_range(self.endian)?;
        let bytes = self.source.bytes(offset, size.min(4096), "").ok()?;
        let mut entries = bytes
            .split(|byte| *byte == 0)
            .filter(|text| !text.is_empty());
        let rust = bytes
            .split(|byte| *byte == 0)
            .find_map(|text| text.strip_prefix(b"rustc version "));
        match rust {
            // The hash and date behind the version stand in brackets.
            Some(version) => {
                let version = version.split(|byte| *byte == b' ').next()?;
                Some(format!("rustc {}", printable(version)))
            }
            None => entries.next().map(printable),
        }
    }
}

fn platform<H: FileHeader<Endian = Endianness>>(header: &H, endian: Endianness) -> Platform {
    let pointer_width = if header.is_type_64() { 64 } else { 32 };
    let machine = header.e_machine(endian);
    let little = endian == Endianness::Little;
    let arch = match machine {
        elf::EM_X86_64 => "x86_64",
        elf::EM_386 => "x86",
        elf::EM_AARCH64 => "aarch64",
        elf::EM_ARM => "arm",
        elf::EM_RISCV if pointer_width == 64 => "riscv64",
        elf::EM_RISCV => "riscv32",
        elf::EM_PPC64 if little => "powerpc64le",
        elf::EM_PPC64 => "powerpc64",
        elf::EM_S390 => "s390x",
        elf::EM_LOONGARCH => "loongarch64",
        elf::EM_MIPS => "mips",
        other => return Platform::new(&format!("processor {}", other.0), "linux", pointer_width),
    };
    // Linux does not name itself: its libraries have the number of System V, or of GNU extensions.
    let os = match header.e_ident().os_abi {
        elf::ELFOSABI_FREEBSD => "freebsd",
        elf::ELFOSABI_NETBSD => "netbsd",
        elf::ELFOSABI_OPENBSD => "openbsd",
        elf::ELFOSABI_SOLARIS => "solaris",
        _ => "linux",
    };
    Platform::new(arch, os, pointer_width)
}
