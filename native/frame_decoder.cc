#include "frame_decoder.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <limits>

#include "crc32.h"

namespace sluice {
namespace {

constexpr int64_t kMaxOffset = std::numeric_limits<int32_t>::max();
constexpr int64_t kChecksumBytes = 4;

/// An offset as it is told in errors.
constexpr int32_t told(int64_t offset) { return static_cast<int32_t>(std::min(offset, kMaxOffset)); }

/// Numbers in a table are two words, the low one first: on a little-endian machine one load, one store.
int64_t value_at(const int32_t* table, uint32_t word) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    int64_t value = 0;
    std::memcpy(&value, table + word, sizeof value);
    return value;
  }
  return static_cast<int64_t>(static_cast<uint64_t>(static_cast<uint32_t>(table[word + 1])) << 32 | static_cast<uint32_t>(table[word]));
}
void set_value(int32_t* table, uint32_t word, uint64_t value) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(table + word, &value, sizeof value);
    return;
  }
  table[word] = static_cast<int32_t>(value);
  table[word + 1] = static_cast<int32_t>(value >> 32);
}

uint32_t big32(const uint8_t* at) noexcept {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; i++) value = value << 8 | at[i];
  return value;
}
/// Eight bytes from `from` on, as a number; the missing ones are zeros.
uint64_t load64(std::span<const uint8_t> from, bool is_little) noexcept {
  uint64_t value = 0;
  if (from.size() >= sizeof value) [[likely]] {
    std::memcpy(&value, from.data(), sizeof value);
  } else {
    std::memcpy(&value, from.data(), from.size());
  }
  return is_little == (std::endian::native == std::endian::little) ? value : __builtin_bswap64(value);
}
void store(uint8_t* at, uint8_t width, bool is_little, uint64_t value) noexcept {
  for (uint8_t i = 0; i < width; i++) at[i] = static_cast<uint8_t>(value >> (8 * (is_little ? i : width - 1 - i)));
}

}  // namespace

/// One call of `decode`.
struct FrameDecoder::Reading {
  std::span<const uint8_t> bytes;
  int64_t there = 0;
  int32_t* table = nullptr;
  int64_t last_at = 0;     ///< where the field read last is
  int64_t body_end = 0;    ///< where fields and sections must end: the limit, until the length is known
  int64_t fields_end = 0;  ///< where fixed fields, and others read so far, end
  bool is_length_known = false;
  /// All fixed fields are there and inside the frame: they need no look at where they end.
  bool is_roomy = false;
  Decoded result;

  [[nodiscard]] bool fault(int32_t code, int64_t offset) noexcept {
    result = {Decoded::Kind::kFault, code, told(offset)};
    return false;
  }
};

FrameDecoder::FrameDecoder(const FrameProgram& program, FrameLimits limits) noexcept
    : program_(&program), limits_{std::min(limits.max_frame_bytes, kMaxOffset), limits.cut_through_bytes} {}

int64_t FrameDecoder::sum(const Program::Sum& sum, const int32_t* table) const noexcept {
  int64_t total = sum.bytes;
  const auto* const terms = program_->terms_.data() + sum.terms.first;
  // At most 8 terms of less than 2^32 x 2^16 each.
  for (uint32_t i = 0; i < sum.terms.count; i++) total += value_at(table, terms[i].word) * terms[i].scale;
  return total;
}

bool FrameDecoder::is_among(uint64_t value, const Program::ValueSet& set) const noexcept {
  if (!set.is_listed) return value - set.min <= set.span;
  const auto* const all = program_->values_.data() + set.listed.first;
  return std::find(all, all + set.listed.count, static_cast<int64_t>(value)) != all + set.listed.count;
}

bool FrameDecoder::holds(Program::Range conditions, const int32_t* table) const noexcept {
  const auto* const all = program_->conditions_.data() + conditions.first;
  for (uint32_t i = 0; i < conditions.count; i++) {
    if (!is_among(static_cast<uint64_t>(value_at(table, all[i].word)), all[i].values)) return false;
  }
  return true;
}

/// Notes the value of a field, the first of what is left. False: it is not allowed.
bool FrameDecoder::read(const Program::Field& field, std::span<const uint8_t> from, int32_t* table) const noexcept {
  // Eight bytes at once, whatever the width: what is not the field's is shifted or masked out.
  uint64_t value = load64(from, field.is_little) >> field.shift & field.mask;
  value = (value ^ field.sign_bit) - field.sign_bit;
  set_value(table, field.word, value);
  return is_among(value, field.allowed);
}

/// Reads fields in order. False: `reading.result` says why it stopped.
bool FrameDecoder::read_all(Program::Range fields, Reading& reading) const noexcept {
  const auto* const all = program_->fields_.data() + fields.first;
  for (uint32_t i = 0; i < fields.count; i++) {
    const Program::Field& field = all[i];
    int64_t offset = field.at.bytes;
    if (field.at.terms.count != 0 || !reading.is_roomy) {
      offset = sum(field.at, reading.table);
      if (offset < 0) return reading.fault(frame::kFaultBadLength, reading.last_at);
      const int64_t end = offset + field.width;
      if (end > reading.body_end) return reading.fault(reading.is_length_known ? frame::kFaultBadLength : frame::kFaultFrameTooLarge, reading.last_at);
      if (end > reading.there) return false;
      reading.fields_end = std::max(reading.fields_end, end);
    }
    if (!read(field, reading.bytes.subspan(static_cast<size_t>(offset)), reading.table)) return reading.fault(field.code, offset);
    reading.last_at = offset;
    if (field.is_id) reading.table[frame::kFrameIdAt] = static_cast<int32_t>(offset);
  }
  return true;
}

bool FrameDecoder::place_sections(const Program::Variant& variant, Reading& reading) const noexcept {
  int64_t at = sum(variant.sections_at, reading.table);
  if (at < 0 || at > reading.body_end) return reading.fault(frame::kFaultBadLength, reading.last_at);
  const auto* const all = program_->sections_.data() + variant.sections.first;
  for (uint32_t i = 0; i < variant.sections.count; i++) {
    const int64_t length = all[i].is_rest ? reading.body_end - at : sum(all[i].length, reading.table);
    if (length < 0 || at + length > reading.body_end) return reading.fault(frame::kFaultBadLength, reading.last_at);
    reading.table[all[i].word] = static_cast<int32_t>(at);
    reading.table[all[i].word + 1] = static_cast<int32_t>(length);
    at += length;
  }
  return true;
}

Decoded FrameDecoder::decode(std::span<const uint8_t> bytes, std::span<int32_t> words) const noexcept {
  const FrameProgram& program = *program_;
  assert(words.size() >= program.table_words_);
  int32_t* const table = words.data();
  std::memset(table, 0, program.table_words_ * sizeof(int32_t));

  Reading reading;
  reading.bytes = bytes;
  reading.there = static_cast<int64_t>(bytes.size());
  reading.table = table;
  // Fields of the prefix end within the first few KB; the limit is for what a length says.
  reading.body_end = std::numeric_limits<int64_t>::max();
  if (!read_all(program.prefix_, reading)) return reading.result;

  const auto found = std::find_if(program.variants_.begin(), program.variants_.end(), [&](const auto& candidate) { return holds(candidate.when, table); });
  if (found == program.variants_.end()) return {Decoded::Kind::kFault, frame::kFaultUnknownVariant, 0};
  const FrameProgram::Variant& variant = *found;

  reading.body_end = limits_.max_frame_bytes;
  reading.fields_end = variant.min_bytes;
  reading.is_roomy = reading.there >= variant.min_bytes && reading.body_end >= variant.min_bytes;
  if (!read_all(variant.before_length, reading)) return reading.result;

  const int64_t body_end = sum(variant.length, table);
  const bool is_checked = variant.has_checksum && holds(variant.checksum_when, table);
  const int64_t total = body_end + (is_checked ? kChecksumBytes : 0);
  if (total > limits_.max_frame_bytes) return {Decoded::Kind::kFault, frame::kFaultFrameTooLarge, told(reading.last_at)};
  if (body_end < reading.fields_end) return {Decoded::Kind::kFault, frame::kFaultBadLength, told(reading.last_at)};
  reading.body_end = body_end;
  reading.is_length_known = true;
  if (!place_sections(variant, reading) || !read_all(variant.after_length, reading)) return reading.result;

  int64_t shown = total;
  if (reading.there < total) {
    if (variant.sections.count == 0 || limits_.cut_through_bytes <= 0 || total <= limits_.cut_through_bytes || is_checked) return {};
    const auto& last = program.sections_[variant.sections.first + variant.sections.count - 1];
    shown = std::max<int64_t>(reading.fields_end, table[last.word]);
    if (reading.there < shown) return {};
  } else if (is_checked) {
    const auto end = static_cast<size_t>(body_end);
    if (crc32(bytes.first(end)) != big32(bytes.data() + end)) return {Decoded::Kind::kFault, frame::kFaultBadChecksum, told(body_end)};
  }

  if (variant.has_id) {
    set_value(table, frame::kFrameIdLow, static_cast<uint64_t>(value_at(table, variant.id_word)));
  } else {
    table[frame::kFrameIdAt] = -1;
  }
  table[frame::kFrameBytes] = static_cast<int32_t>(total);
  table[frame::kFrameShown] = static_cast<int32_t>(shown);
  table[frame::kFrameVariant] = static_cast<int32_t>(found - program.variants_.begin());
  const auto* const kinds = program.kinds_.data() + variant.kinds.first;
  for (uint32_t i = 0; i < variant.kinds.count; i++) {
    if (!holds(kinds[i].when, table)) continue;
    table[frame::kFrameKind] = kinds[i].kind;
    break;
  }
  return {shown < total ? Decoded::Kind::kPartial : Decoded::Kind::kWhole, 0, 0};
}

bool FrameDecoder::has_checksum(std::span<const int32_t> table) const noexcept {
  if (table.size() < program_->table_words_) return false;
  const auto index = static_cast<uint32_t>(table[frame::kFrameVariant]);
  if (index >= program_->variants_.size()) return false;
  const auto& variant = program_->variants_[index];
  return variant.has_checksum && holds(variant.checksum_when, table.data());
}

void FrameDecoder::patch_id(std::span<uint8_t> bytes, std::span<const int32_t> table, uint32_t low, uint32_t high) const noexcept {
  if (table.size() < program_->table_words_) return;
  const auto index = static_cast<uint32_t>(table[frame::kFrameVariant]);
  const int64_t id_at = table[frame::kFrameIdAt];
  const auto size = static_cast<int64_t>(bytes.size());
  if (index >= program_->variants_.size() || id_at < 0) return;
  const auto& variant = program_->variants_[index];
  if (!variant.has_id || id_at + variant.id_width > size) return;
  store(bytes.data() + id_at, variant.id_width, variant.id_is_little, static_cast<uint64_t>(high) << 32 | low);

  const int64_t total = table[frame::kFrameBytes];
  if (table[frame::kFrameShown] != total || total < kChecksumBytes || total > size || !has_checksum(table)) return;
  const auto body = bytes.first(static_cast<size_t>(total - kChecksumBytes));
  store(body.data() + body.size(), kChecksumBytes, false, crc32(body));
}

}  // namespace sluice
