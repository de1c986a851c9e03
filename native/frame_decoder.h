// Described framing: runs the byte-code of a layout (src/protocol/frame-program.ts) over bytes. src/protocol/frame-decoder.ts is the specification: the
// same frames, tables, errors and offsets. frame_table.h names the words of a frame's table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "frame_table.h"

namespace sluice {

/// Bounds of frames on a connection.
struct FrameLimits {
  int64_t max_frame_bytes = 0;    ///< of a whole frame; at most 2^31 - 1 count
  int64_t cut_through_bytes = 0;  ///< a frame of more bytes is shown before its last section is there; 0: never
};

/// What a decoder found.
struct Decoded {
  enum class Kind : uint8_t {
    kMore,     ///< more bytes are needed
    kWhole,    ///< a whole frame; the table is filled
    kPartial,  ///< a frame that is cut through: all but its last section is there; the table is filled
    kFault,    ///< the bytes break the protocol
  };
  Kind kind = Kind::kMore;
  int32_t code = 0;    ///< of a fault: frame::kFault*, or, 0 and up, an index of the program's codes
  int32_t offset = 0;  ///< of a fault, from the frame's first byte
};

/// A layout's byte-code, checked and taken apart. Immutable: any number of decoders may share one.
class FrameProgram {
 public:
  /// nullopt where the words are not a program that frame-program.ts can write: the source of the words need not be trusted. `code_count`: how many
  /// error codes of fields there are.
  [[nodiscard]] static std::optional<FrameProgram> load(std::span<const int32_t> words, size_t code_count);

  /// Words of a frame's table.
  [[nodiscard]] size_t table_words() const noexcept { return table_words_; }
  [[nodiscard]] size_t section_count() const noexcept { return section_count_; }
  /// True where frames of some variant have an id.
  [[nodiscard]] bool has_id() const noexcept;

 private:
  friend class FrameDecoder;
  friend class ProgramLoader;

  /// Part of one of the pools below.
  struct Range {
    uint32_t first = 0;
    uint32_t count = 0;
  };
  /// A field's value in the table, times `scale`.
  struct Term {
    uint32_t word = 0;
    int64_t scale = 0;
  };
  struct Sum {
    int64_t bytes = 0;
    Range terms;
  };
  /// Which values are right: one comparison for all, for a range and for values without gaps, which nearly all sets are.
  struct ValueSet {
    uint64_t min = 0;
    uint64_t span = ~uint64_t{0};  ///< from `min` to the largest
    bool is_listed = false;        ///< the values are in the pool instead
    Range listed;
  };
  /// The field at `word` of the table must have one of `values`.
  struct Condition {
    uint32_t word = 0;
    ValueSet values;
  };
  struct Field {
    Sum at;                 ///< without terms: a fixed place
    uint32_t word = 0;      ///< of the table, for its value
    uint8_t width = 0;
    bool is_little = false;
    bool is_id = false;
    uint8_t shift = 0;      ///< of the eight bytes from the field's first one on, in its byte order
    uint64_t mask = 0;      ///< of the bits that count, after the shift
    uint64_t sign_bit = 0;  ///< 0: not signed
    int32_t code = 0;
    ValueSet allowed;
  };
  struct Section {
    uint32_t word = 0;  ///< of the table
    bool is_rest = false;
    Sum length;
  };
  struct KindRule {
    int32_t kind = 0;
    Range when;
  };
  struct Variant {
    Range when;
    int64_t min_bytes = 0;
    Range before_length;  ///< fields that are read before the length is checked
    Range after_length;
    Sum length;
    Sum sections_at;
    Range sections;
    Range kinds;
    bool has_checksum = false;
    Range checksum_when;
    bool has_id = false;
    uint32_t id_word = 0;
    uint8_t id_width = 0;
    bool id_is_little = false;
  };

  size_t section_count_ = 0;
  size_t table_words_ = 0;
  Range prefix_;
  std::vector<Variant> variants_;
  std::vector<Field> fields_;
  std::vector<Term> terms_;
  std::vector<Condition> conditions_;
  std::vector<int64_t> values_;
  std::vector<Section> sections_;
  std::vector<KindRule> kinds_;
};

/// Finds frames. Keeps nothing between calls and allocates nothing; the program must outlive it.
class FrameDecoder {
 public:
  FrameDecoder(const FrameProgram& program, FrameLimits limits) noexcept;

  [[nodiscard]] const FrameProgram& program() const noexcept { return *program_; }

  /// Looks at the frame that begins with the first of `bytes`. `table` has at least `table_words()` words; kFrameStart and kFrameInputAt are 0, for the
  /// caller to set. The table means something only of a frame that is whole or partial. The same bytes give the same fault however many follow.
  [[nodiscard]] Decoded decode(std::span<const uint8_t> bytes, std::span<int32_t> table) const noexcept;

  /// Writes another id into a frame, and, where all of it is there, its checksum anew. `bytes`: from the frame's start; `table`: as `decode` filled it,
  /// though one that does not fit the bytes does no harm.
  void patch_id(std::span<uint8_t> bytes, std::span<const int32_t> table, uint32_t low, uint32_t high) const noexcept;

  /// True where the frame of this table ends in a checksum.
  [[nodiscard]] bool has_checksum(std::span<const int32_t> table) const noexcept;

 private:
  using Program = FrameProgram;
  struct Reading;

  [[nodiscard]] int64_t sum(const Program::Sum& sum, const int32_t* table) const noexcept;
  [[nodiscard]] bool holds(Program::Range conditions, const int32_t* table) const noexcept;
  [[nodiscard]] bool is_among(uint64_t value, const Program::ValueSet& set) const noexcept;
  [[nodiscard]] bool read(const Program::Field& field, std::span<const uint8_t> from, int32_t* table) const noexcept;
  [[nodiscard]] bool read_all(Program::Range fields, Reading& reading) const noexcept;
  [[nodiscard]] bool place_sections(const Program::Variant& variant, Reading& reading) const noexcept;

  const FrameProgram* program_;
  FrameLimits limits_;
};

}  // namespace sluice
