// The handshake record: what a plugin says of itself in its file, before any of its code runs. Included by
// dora_plugin.h.
//
// Invariant: the record holds no pointer and needs no relocation, so its bytes in the file are its value. This is the
// Rust module plugin_abi::handshake; a test of that crate compares the two byte for byte.
// Absent: the decision what fits. That is the host's.

#ifndef DORA_PLUGIN_RECORD_H
#define DORA_PLUGIN_RECORD_H

#include "dora_plugin.h"

#ifdef __cplusplus
#define DORA_C_BEGIN extern "C" {
#define DORA_C_END }
#define DORA_STATIC_ASSERT static_assert
#define DORA_ALIGNOF(type) alignof(type)
#else
#define DORA_C_BEGIN
#define DORA_C_END
#define DORA_STATIC_ASSERT _Static_assert
#ifdef _MSC_VER
#define DORA_ALIGNOF(type) __alignof(type)
#else
#define DORA_ALIGNOF(type) _Alignof(type)
#endif
#endif

DORA_C_BEGIN

#define DORA_LAYOUT_TYPES 18
#define DORA_LAYOUT_FIELDS 16

// Version of the plugin ABI: below 1.0 equal on both sides, later the plugin's minor at most the host's.
typedef struct DoraAbiVersion {
    uint16_t major, minor;
} DoraAbiVersion;

// Version of the message format. The same rule; the patch does not matter for what fits.
typedef struct DoraMessageFormat {
    uint16_t major, minor, patch;
} DoraMessageFormat;

// Size, alignment and field offsets of one type.
typedef struct DoraTypeLayout {
    uint8_t name[16];                     // The type's name, filled up with zeros.
    uint16_t size;                        // Its size in bytes.
    uint16_t align;                       // Its alignment in bytes.
    uint16_t fields;                      // Number of fields.
    uint16_t reserved;                    // Zero.
    uint16_t offsets[DORA_LAYOUT_FIELDS]; // Offset of each field in bytes, in the order of declaration.
} DoraTypeLayout;

#define DORA_FLAG_UNWIND 1u // A panic unwinds. Always set for a plugin that is not Rust.
#define DORA_FLAG_DEBUG 2u  // Built without optimisation.
#define DORA_LANGUAGE_C 2u

// The record. Texts are UTF-8, filled up with zeros.
typedef struct DoraRecord {
    uint8_t magic[16];         // "dora-plugin-rec\n"
    uint32_t size;             // Bytes of this record.
    DoraAbiVersion abi;        // Plugin ABI.
    DoraMessageFormat message_format; // Message format.
    uint16_t flags;            // DORA_FLAG_... bits. The last field that every version has in common.
    uint16_t language;         // DORA_LANGUAGE_C
    uint16_t pointer_width;    // Bits of a pointer.
    uint32_t layout_types;     // Number of types in `layout`.
    uint8_t target[48];        // Target triple.
    uint8_t name[64];          // The plugin's name.
    uint8_t version[32];       // The plugin's version.
    uint8_t sdk[32];           // Name and version of what it was built with.
    uint8_t compiler[64];      // The compiler and its version.
    uint8_t abi_stable[16];    // Empty: that check is between Rust plugins and Rust hosts.
    DoraTypeLayout layout[DORA_LAYOUT_TYPES]; // The types of dora_plugin.h as this plugin was compiled.
} DoraRecord;

DORA_C_END

DORA_STATIC_ASSERT(offsetof(DoraRecord, flags) + 2 == 32, "the first 32 bytes keep their meaning for ever");

// The target triple, in the words of the Rust compiler.
#if defined(__x86_64__) || defined(_M_X64)
#define DORA_TARGET_ARCH "x86_64"
#elif defined(__aarch64__) || defined(_M_ARM64)
#define DORA_TARGET_ARCH "aarch64"
#elif defined(__i386__) || defined(_M_IX86)
#define DORA_TARGET_ARCH "i686"
#elif defined(__arm__) && defined(__ARM_ARCH) && __ARM_ARCH >= 7
#define DORA_TARGET_ARCH "armv7"
#elif defined(__arm__)
#define DORA_TARGET_ARCH "arm"
#elif defined(__riscv) && __riscv_xlen == 64
#define DORA_TARGET_ARCH "riscv64gc"
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define DORA_TARGET_ARCH "powerpc64le"
#elif defined(__s390x__)
#define DORA_TARGET_ARCH "s390x"
#else
#define DORA_TARGET_ARCH "unknown"
#endif

#if defined(_MSC_VER)
#define DORA_TARGET_SYSTEM "-pc-windows-msvc"
#elif defined(_WIN32)
#define DORA_TARGET_SYSTEM "-pc-windows-gnu"
#elif defined(__APPLE__)
#define DORA_TARGET_SYSTEM "-apple-darwin"
#elif defined(__ANDROID__)
#define DORA_TARGET_SYSTEM "-linux-android"
#elif defined(__linux__) && defined(__arm__) && defined(__ARM_PCS_VFP)
#define DORA_TARGET_SYSTEM "-unknown-linux-gnueabihf"
#elif defined(__linux__) && defined(__arm__)
#define DORA_TARGET_SYSTEM "-unknown-linux-gnueabi"
#elif defined(__linux__) && defined(__GLIBC__)
#define DORA_TARGET_SYSTEM "-unknown-linux-gnu"
#elif defined(__linux__)
#define DORA_TARGET_SYSTEM "-unknown-linux-musl" // musl says nothing of itself, on purpose.
#else
#define DORA_TARGET_SYSTEM "-unknown-unknown"
#endif

// The compiler. Not __VERSION__, whose length has no limit: some builds put the address of a repository there.
#define DORA_TEXT_OF(number) #number
#define DORA_TEXT(number) DORA_TEXT_OF(number)
#define DORA_VERSION(a, b, c) DORA_TEXT(a) "." DORA_TEXT(b) "." DORA_TEXT(c)
#if defined(__clang__)
#define DORA_COMPILER "clang " DORA_VERSION(__clang_major__, __clang_minor__, __clang_patchlevel__)
#elif defined(_MSC_VER)
#define DORA_COMPILER "msvc " DORA_TEXT(_MSC_FULL_VER)
#elif defined(__GNUC__)
#define DORA_COMPILER "gcc " DORA_VERSION(__GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__)
#else
#define DORA_COMPILER "unknown"
#endif

#if defined(_DEBUG) || (!defined(_MSC_VER) && !defined(__OPTIMIZE__))
#define DORA_FLAGS (DORA_FLAG_UNWIND | DORA_FLAG_DEBUG)
#else
#define DORA_FLAGS DORA_FLAG_UNWIND
#endif

// How a symbol is exported, and how the record gets a section of its own: the host finds it by that section.
#if defined(_MSC_VER)
#pragma section(".dora", read)
#define DORA_EXPORT __declspec(dllexport)
#define DORA_IN_SECTION __declspec(allocate(".dora"))
#elif defined(_WIN32)
#define DORA_EXPORT __attribute__((__dllexport__))
#define DORA_IN_SECTION __attribute__((__section__(".dora")))
#elif defined(__APPLE__)
#define DORA_EXPORT __attribute__((__visibility__("default")))
#define DORA_IN_SECTION __attribute__((__section__("__DATA,__dora")))
#else
#define DORA_EXPORT __attribute__((__visibility__("default")))
#define DORA_IN_SECTION __attribute__((__section__(".dora")))
#endif

#define DORA_SHAPE(type, fields) (uint16_t)sizeof(type), (uint16_t)DORA_ALIGNOF(type), fields, 0
#define DORA_AT(type, field) (uint16_t)offsetof(type, field)

#define DORA_LAYOUT { \
    { "Str", DORA_SHAPE(DoraStr, 2), { DORA_AT(DoraStr, ptr), DORA_AT(DoraStr, len) } }, \
    { "Bytes", DORA_SHAPE(DoraBytes, 4), { DORA_AT(DoraBytes, ptr), DORA_AT(DoraBytes, len), \
        DORA_AT(DoraBytes, owner), DORA_AT(DoraBytes, release) } }, \
    { "ArrowArray", DORA_SHAPE(struct ArrowArray, 10), { DORA_AT(struct ArrowArray, length), \
        DORA_AT(struct ArrowArray, null_count), DORA_AT(struct ArrowArray, offset), \
        DORA_AT(struct ArrowArray, n_buffers), DORA_AT(struct ArrowArray, n_children), \
        DORA_AT(struct ArrowArray, buffers), DORA_AT(struct ArrowArray, children), \
        DORA_AT(struct ArrowArray, dictionary), DORA_AT(struct ArrowArray, release), \
        DORA_AT(struct ArrowArray, private_data) } }, \
    { "ArrowSchema", DORA_SHAPE(struct ArrowSchema, 9), { DORA_AT(struct ArrowSchema, format), \
        DORA_AT(struct ArrowSchema, name), DORA_AT(struct ArrowSchema, metadata), \
        DORA_AT(struct ArrowSchema, flags), DORA_AT(struct ArrowSchema, n_children), \
        DORA_AT(struct ArrowSchema, children), DORA_AT(struct ArrowSchema, dictionary), \
        DORA_AT(struct ArrowSchema, release), DORA_AT(struct ArrowSchema, private_data) } }, \
    { "MsgSchema", DORA_SHAPE(DoraMsgSchema, 6), { DORA_AT(DoraMsgSchema, size), DORA_AT(DoraMsgSchema, n_nodes), \
        DORA_AT(DoraMsgSchema, id), DORA_AT(DoraMsgSchema, schema), DORA_AT(DoraMsgSchema, retain), \
        DORA_AT(DoraMsgSchema, release) } }, \
    { "MsgVt", DORA_SHAPE(DoraMsgVt, 4), { DORA_AT(DoraMsgVt, size), DORA_AT(DoraMsgVt, retain), \
        DORA_AT(DoraMsgVt, release), DORA_AT(DoraMsgVt, view) } }, \
    { "Msg", DORA_SHAPE(DoraMsg, 7), { DORA_AT(DoraMsg, size), DORA_AT(DoraMsg, n_nodes), DORA_AT(DoraMsg, vt), \
        DORA_AT(DoraMsg, array), DORA_AT(DoraMsg, schema), DORA_AT(DoraMsg, meta), DORA_AT(DoraMsg, meta_len) } }, \
    { "HostBuf", DORA_SHAPE(DoraHostBuf, 3), { DORA_AT(DoraHostBuf, ptr), DORA_AT(DoraHostBuf, len), \
        DORA_AT(DoraHostBuf, owner) } }, \
    { "Leaf", DORA_SHAPE(DoraLeaf, 4), { DORA_AT(DoraLeaf, length), DORA_AT(DoraLeaf, null_count), \
        DORA_AT(DoraLeaf, buffers), DORA_AT(DoraLeaf, n_buffers) } }, \
    { "LogRecord", DORA_SHAPE(DoraLogRecord, 9), { DORA_AT(DoraLogRecord, size), DORA_AT(DoraLogRecord, level), \
        DORA_AT(DoraLogRecord, line), DORA_AT(DoraLogRecord, reserved), DORA_AT(DoraLogRecord, target), \
        DORA_AT(DoraLogRecord, message), DORA_AT(DoraLogRecord, fields), DORA_AT(DoraLogRecord, file), \
        DORA_AT(DoraLogRecord, spans) } }, \
    { "ErrorReport", DORA_SHAPE(DoraErrorReport, 6), { DORA_AT(DoraErrorReport, size), \
        DORA_AT(DoraErrorReport, kind), DORA_AT(DoraErrorReport, text), DORA_AT(DoraErrorReport, file), \
        DORA_AT(DoraErrorReport, line), DORA_AT(DoraErrorReport, reserved) } }, \
    { "Library", DORA_SHAPE(DoraLibrary, 4), { DORA_AT(DoraLibrary, size), DORA_AT(DoraLibrary, level), \
        DORA_AT(DoraLibrary, log), DORA_AT(DoraLibrary, folder) } }, \
    { "Host", DORA_SHAPE(DoraHost, 15), { DORA_AT(DoraHost, size), DORA_AT(DoraHost, context), \
        DORA_AT(DoraHost, library), DORA_AT(DoraHost, level), DORA_AT(DoraHost, retain), DORA_AT(DoraHost, release), \
        DORA_AT(DoraHost, intern_schema), DORA_AT(DoraHost, alloc_output), DORA_AT(DoraHost, free_buf), \
        DORA_AT(DoraHost, send_copy), DORA_AT(DoraHost, send_buf), DORA_AT(DoraHost, send_array), \
        DORA_AT(DoraHost, log), DORA_AT(DoraHost, report_error), DORA_AT(DoraHost, request_stop) } }, \
    { "Event", DORA_SHAPE(DoraEvent, 5), { DORA_AT(DoraEvent, size), DORA_AT(DoraEvent, kind), \
        DORA_AT(DoraEvent, input), DORA_AT(DoraEvent, reason), DORA_AT(DoraEvent, msg) } }, \
    { "CreateArgs", DORA_SHAPE(DoraCreateArgs, 9), { DORA_AT(DoraCreateArgs, size), \
        DORA_AT(DoraCreateArgs, restart_count), DORA_AT(DoraCreateArgs, inputs), DORA_AT(DoraCreateArgs, n_inputs), \
        DORA_AT(DoraCreateArgs, outputs), DORA_AT(DoraCreateArgs, n_outputs), DORA_AT(DoraCreateArgs, config), \
        DORA_AT(DoraCreateArgs, node_id), DORA_AT(DoraCreateArgs, dataflow_id) } }, \
    { "Port", DORA_SHAPE(DoraPort, 4), { DORA_AT(DoraPort, size), DORA_AT(DoraPort, name), \
        DORA_AT(DoraPort, description), DORA_AT(DoraPort, data_type) } }, \
    { "Kind", DORA_SHAPE(DoraKind, 13), { DORA_AT(DoraKind, size), DORA_AT(DoraKind, name), \
        DORA_AT(DoraKind, description), DORA_AT(DoraKind, inputs), DORA_AT(DoraKind, n_inputs), \
        DORA_AT(DoraKind, outputs), DORA_AT(DoraKind, n_outputs), DORA_AT(DoraKind, config_schema), \
        DORA_AT(DoraKind, create), DORA_AT(DoraKind, on_event), DORA_AT(DoraKind, save_state), \
        DORA_AT(DoraKind, restore_state), DORA_AT(DoraKind, destroy) } }, \
    { "Plugin", DORA_SHAPE(DoraPlugin, 5), { DORA_AT(DoraPlugin, size), DORA_AT(DoraPlugin, abi_major), \
        DORA_AT(DoraPlugin, abi_minor), DORA_AT(DoraPlugin, kinds), DORA_AT(DoraPlugin, n_kinds) } } }

// Defines the record alone, for a plugin with an entry of its own: DORA_HANDSHAKE("name", "1.0.0");
#define DORA_HANDSHAKE(plugin_name, plugin_version) \
    DORA_C_BEGIN \
    extern DORA_EXPORT DORA_IN_SECTION const DoraRecord DORA_PLUGIN_RECORD; \
    DORA_IN_SECTION const DoraRecord DORA_PLUGIN_RECORD = { \
        { 'd', 'o', 'r', 'a', '-', 'p', 'l', 'u', 'g', 'i', 'n', '-', 'r', 'e', 'c', '\n' }, \
        (uint32_t)sizeof(DoraRecord), \
        { DORA_ABI_MAJOR, DORA_ABI_MINOR }, \
        { DORA_MESSAGE_FORMAT_MAJOR, DORA_MESSAGE_FORMAT_MINOR, DORA_MESSAGE_FORMAT_PATCH }, \
        DORA_FLAGS, \
        DORA_LANGUAGE_C, \
        (uint16_t)(8 * sizeof(void *)), \
        DORA_LAYOUT_TYPES, \
        DORA_TARGET_ARCH DORA_TARGET_SYSTEM, \
        plugin_name, \
        plugin_version, \
        "dora_plugin.h 0.7.0", \
        DORA_COMPILER, \
        "", \
        DORA_LAYOUT, \
    }; \
    DORA_C_END \
    DORA_STATIC_ASSERT(sizeof(plugin_name) <= 64 && sizeof(plugin_version) <= 32, \
                       "the name of a plugin has at most 63 bytes, its version 31")

// Defines everything that a plugin exports: DORA_PLUGIN("name", "1.0.0", &kind, &other_kind);
// The kinds are DoraKind with static storage.
#define DORA_PLUGIN(plugin_name, plugin_version, ...) \
    DORA_C_BEGIN \
    extern DORA_EXPORT const DoraPlugin *dora_plugin_entry(const DoraLibrary *library); \
    DORA_EXPORT const DoraPlugin *dora_plugin_entry(const DoraLibrary *library) { \
        static const DoraKind *const kinds[] = { __VA_ARGS__ }; \
        static const DoraPlugin plugin = { sizeof(DoraPlugin), DORA_ABI_MAJOR, DORA_ABI_MINOR, kinds, \
                                           sizeof(kinds) / sizeof(kinds[0]) }; \
        (void)library; \
        return &plugin; \
    } \
    DORA_C_END \
    DORA_HANDSHAKE(plugin_name, plugin_version)

#endif // DORA_PLUGIN_RECORD_H
