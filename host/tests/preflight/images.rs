//! Small images of plugins for other systems, written byte by byte: no linker for those systems is needed.
//!
//! Sources: "PE Format" (Microsoft), "OS X ABI Mach-O File Format Reference" (Apple), "System V ABI" (ELF).

use crate::bytes::{File, record};
use plugin_abi::handshake::Record;
use std::mem::offset_of;

/// The record of the good plugin with another target.
pub fn record_for(target: &str) -> Vec<u8> {
    let mut field = File::default();
    field.text(target, 48);
    let mut record = record();
    record.put_raw(offset_of!(Record, target), &field.bytes);
    record.bytes
}

/// A PE file with two sections: the record's, and one with exports and imports.
#[derive(Clone)]
pub struct Pe {
    pub wide: bool,
    pub machine: u64,
    pub library: bool,
    pub record: Vec<u8>,
    /// Whether the record has a section of its own name; else only the symbol leads to it.
    pub section: bool,
    pub exports: Vec<&'static str>,
    pub imports: Vec<&'static str>,
    /// Bytes of symbols at the end, as GNU linkers leave them.
    pub symbols: bool,
}

impl Pe {
    pub fn plugin() -> Self {
        Self {
            wide: true,
            machine: 0x8664,
            library: true,
            record: record_for("x86_64-pc-windows-gnu"),
            section: true,
            exports: vec!["DORA_PLUGIN_RECORD", "another", "dora_plugin_entry"],
            imports: vec!["KERNEL32.dll", "api-ms-win-core-synch-l1-2-0.dll"],
            symbols: true,
        }
    }

    pub fn build(&self) -> Vec<u8> {
        let (record_address, tables_address) = (0x1000, 0x4000);
        let record_start = 0x200_usize;
        let tables_start = (record_start + self.record.len()).next_multiple_of(0x200);
        let (tables, imports) = self.tables(tables_address, record_address);
        let symbols_start = (tables_start + tables.len()).next_multiple_of(0x200);

        let mut file = File::default();
        file.raw(b"MZ").pad_to(0x3c).n32(&[0x40]).raw(b"PE\0\0");
        let optional = if self.wide { 240 } else { 224 };
        let characteristics = 0x22 | if self.library { 0x2000 } else { 0 };
        let symbols = if self.symbols {
            [symbols_start as u64, 1]
        } else {
            [0, 0]
        };
        file.n16(&[self.machine, 2]).n32(&[0]).n32(&symbols);
        file.n16(&[optional, characteristics]);
        self.optional_header(&mut file);
        file.n32(&[tables_address, tables.len() as u64]);
        file.n32(&[
            tables_address + imports as u64,
            20 * (self.imports.len() as u64 + 1),
        ]);
        // Fourteen more directories, all empty.
        file.n32(&[0; 28]);
        let name = if self.section { ".dora" } else { ".data" };
        for (name, size, address, start, end) in [
            (
                name,
                self.record.len(),
                record_address,
                record_start,
                tables_start,
            ),
            (
                ".rdata",
                tables.len(),
                tables_address,
                tables_start,
                symbols_start,
            ),
        ] {
            file.text(name, 8);
            file.n32(&[size as u64, address, (end - start) as u64, start as u64]);
            file.n32(&[0, 0, 0, 0x4000_0040]);
        }
        file.pad_to(record_start).raw(&self.record);
        file.pad_to(tables_start).raw(&tables).pad_to(symbols_start);
        if self.symbols {
            // One symbol, and the table of names with its length.
            file.text("a", 18).n32(&[8]).text("bcd", 4);
        }
        file.bytes
    }

    fn optional_header(&self, file: &mut File) {
        let magic = if self.wide { 0x20b } else { 0x10b };
        file.n16(&[magic, 0]).n32(&[0, 0, 0, 0, 0]);
        if self.wide {
            file.n64(&[0x1_8000_0000]);
        } else {
            file.n32(&[0, 0x1000_0000]);
        }
        file.n32(&[0x1000, 0x200]).n16(&[6, 0, 0, 0, 6, 0]);
        file.n32(&[0, 0x6000, 0x200, 0]).n16(&[3, 0]);
        let stack_and_heap = [1 << 20, 4096, 1 << 20, 4096];
        if self.wide {
            file.n64(&stack_and_heap);
        } else {
            file.n32(&stack_and_heap);
        }
        file.n32(&[0, 16]);
    }

    /// The section with the tables, and where in it the imports start.
    fn tables(&self, address: u64, record_address: u64) -> (Vec<u8>, usize) {
        let count = self.exports.len();
        let mut texts = File::default();
        let texts_start = 40 + count * 10 + 2 * (count % 2) + 20 * (self.imports.len() + 1);
        let mut text = |text: &str| {
            let place = address + (texts_start + texts.bytes.len()) as u64;
            texts.raw(text.as_bytes()).raw(b"\0");
            place
        };
        let export_names: Vec<u64> = self.exports.iter().map(|name| text(name)).collect();
        let import_names: Vec<u64> = self.imports.iter().map(|name| text(name)).collect();

        let mut file = File::default();
        let many = count as u64;
        let functions = address + 40;
        file.n32(&[0, 0, 0, 0, 1, many, many]);
        file.n32(&[functions, functions + 4 * many, functions + 8 * many]);
        // Everything exported is the record: nobody calls it.
        file.n32(&vec![record_address; count]).n32(&export_names);
        file.n16(&(0..many).collect::<Vec<_>>());
        file.n16(&vec![0; count % 2]);
        let imports = file.bytes.len();
        for name in import_names {
            file.n32(&[1, 0, 0, name, 1]);
        }
        file.n32(&[0; 5]);
        assert_eq!(file.bytes.len(), texts_start);
        file.raw(&texts.bytes);
        (file.bytes, imports)
    }
}

/// A Mach-O file with one segment and symbols.
#[derive(Clone)]
pub struct MachO {
    pub processor: u64,
    /// 6 library, 2 executable, 8 bundle, 1 object.
    pub file_type: u64,
    pub record: Vec<u8>,
    pub section: bool,
    pub exports: Vec<&'static str>,
}

impl MachO {
    pub fn plugin() -> Self {
        Self {
            processor: 0x0100_000c,
            file_type: 6,
            record: record_for("aarch64-apple-darwin"),
            section: true,
            exports: vec!["_DORA_PLUGIN_RECORD", "_other", "_dora_plugin_entry"],
        }
    }

    pub fn build(&self) -> Vec<u8> {
        let address = 0x4000;
        let start = 0x400_usize;
        let symbols = start + self.record.len();
        let names = symbols + 16 * self.exports.len();
        let texts: usize = self.exports.iter().map(|name| name.len() + 1).sum();

        let mut commands = File::default();
        commands.n32(&[0x19, 72 + 80]).text("__DATA", 16);
        commands.n64(&[address, 0x4000, start as u64, self.record.len() as u64]);
        commands.n32(&[3, 3, 1, 0]);
        let name = if self.section { "__dora" } else { "__const" };
        commands.text(name, 16).text("__DATA", 16);
        commands.n64(&[address, self.record.len() as u64]);
        commands.n32(&[start as u64, 2, 0, 0, 0, 0, 0, 0]);
        commands.n32(&[
            2,
            24,
            symbols as u64,
            self.exports.len() as u64,
            names as u64,
            texts as u64 + 1,
        ]);
        for (command, library) in [
            (0xd, "@rpath/libgood.dylib"),
            (0xc, "/usr/lib/libSystem.B.dylib"),
        ] {
            commands.n32(&[command, 56, 24, 0, 0, 0]).text(library, 32);
        }
        commands
            .n32(&[0x8000_001c, 32, 12])
            .text("@loader_path", 20);
        commands.n32(&[0x32, 24, 1, 0, 0, 0]);

        let mut file = File::default();
        file.n32(&[0xfeed_facf, self.processor, 0, self.file_type]);
        file.n32(&[6, commands.bytes.len() as u64, 0, 0]);
        file.raw(&commands.bytes).pad_to(start).raw(&self.record);
        let mut place = 1;
        for name in &self.exports {
            file.n32(&[place]).raw(&[0xf, 1, 0, 0]).n64(&[address]);
            place += name.len() as u64 + 1;
        }
        file.raw(b"\0");
        for name in &self.exports {
            file.raw(name.as_bytes()).raw(b"\0");
        }
        file.bytes
    }
}

/// An ELF library with a section for the record, and nothing that a loader would want.
pub fn elf(wide: bool, big: bool, machine: u64) -> Vec<u8> {
    let names = b"\0.dora\0.shstrtab\0";
    let (header, entry) = if wide { (64, 64) } else { (52, 40) };
    let mut file = File {
        big,
        ..File::default()
    };
    let record = swapped_record(big);
    let names_start = header + record.len();
    let table = (names_start + names.len()).next_multiple_of(8);
    file.raw(b"\x7fELF")
        .raw(&[1 + u8::from(wide), 1 + u8::from(big), 1]);
    file.pad_to(16).n16(&[3, machine]).n32(&[1]);
    let word = if wide { 8 } else { 4 };
    for value in [0, 0, table as u64] {
        file.number(word, value);
    }
    file.n32(&[0])
        .n16(&[header as u64, 0, 0, entry as u64, 3, 2]);
    file.raw(&record).raw(names).pad_to(table);
    file.pad_to(table + entry);
    for (name, kind, start, size) in [
        (1, 1, header, record.len()),
        (7, 3, names_start, names.len()),
    ] {
        file.n32(&[name, kind]);
        for value in [0, 0, start as u64, size as u64] {
            file.number(word, value);
        }
        file.n32(&[0, 0]).number(word, 4).number(word, 0);
    }
    file.bytes
}

/// The record with its numbers in the byte order of the file.
fn swapped_record(big: bool) -> Vec<u8> {
    let mut record = record();
    record.big = big;
    let numbers = [
        (offset_of!(Record, size), 4, size_of::<Record>() as u64),
        (offset_of!(Record, abi.major), 2, 0),
        (offset_of!(Record, abi.minor), 2, 7),
        (offset_of!(Record, message_format.major), 2, 0),
        (offset_of!(Record, message_format.minor), 2, 7),
        (offset_of!(Record, flags), 2, 1),
        (offset_of!(Record, language), 2, 1),
        (offset_of!(Record, pointer_width), 2, 32),
        (offset_of!(Record, layout_types), 4, 0),
    ];
    for (offset, size, value) in numbers {
        record.put(offset, size, value);
    }
    record.bytes
}
