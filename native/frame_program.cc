// Takes the byte-code of a layout apart. Its words may come from anywhere: all that the decoder relies on is checked here, once.
#include <algorithm>
#include <utility>

#include "frame_decoder.h"

namespace sluice {

/// The grammar is in src/protocol/frame-program.ts; each method reads one rule of it. After the first contradiction `failed_` stays, and reads give 0.
class ProgramLoader {
 public:
  ProgramLoader(std::span<const int32_t> words, size_t code_count) noexcept : words_(words), code_count_(code_count) {}

  std::optional<FrameProgram> load() {
    require(next() == frame::kLayoutVersion);
    program_.section_count_ = count(frame::kLimitSections);
    slot_count_ = count(frame::kLimitFields);
    program_.table_words_ = static_cast<size_t>(frame::kFrameSections) + 2 * program_.section_count_ + 2 * slot_count_;
    const uint32_t prefix = count(frame::kLimitFields);
    program_.prefix_ = {0, prefix};
    for (uint32_t i = 0; i < prefix && !failed_; i++) {
      const FrameProgram::Field field = this->field(nullptr);
      know(field);
      fixed_end_ = std::max(fixed_end_, field.at.bytes + field.width);
      program_.fields_.push_back(field);
    }
    const Known known = known_;
    const int64_t prefix_end = fixed_end_;
    const uint32_t variants = count(frame::kLimitVariants);
    require(variants > 0);
    for (uint32_t i = 0; i < variants && !failed_; i++) {
      known_ = known;
      fixed_end_ = prefix_end;
      variant();
    }
    require(offset_ == words_.size());
    if (failed_) return std::nullopt;
    return std::move(program_);
  }

 private:
  using Program = FrameProgram;
  using Range = FrameProgram::Range;
  /// Slots that hold a value, a bit for each.
  struct Known {
    uint64_t numbers = 0;  ///< of at most 32 bits
    uint64_t wide = 0;
  };

  void require(bool condition) noexcept { failed_ = failed_ || !condition; }
  int32_t next() noexcept {
    require(offset_ < words_.size());
    return failed_ ? 0 : words_[offset_++];
  }
  uint32_t between(int32_t low, int32_t high) noexcept {
    const int32_t word = next();
    require(word >= low && word <= high);
    return failed_ ? 0 : static_cast<uint32_t>(word);
  }
  uint32_t count(int32_t limit) noexcept { return between(0, limit); }
  /// A count without a limit of its own: each of what follows takes at least one word.
  uint32_t count() noexcept {
    const uint32_t word = between(0, INT32_MAX);
    require(word <= words_.size() - offset_);
    return failed_ ? 0 : word;
  }
  int64_t number() noexcept {
    const auto low = static_cast<uint32_t>(next());
    return static_cast<int64_t>(static_cast<uint64_t>(static_cast<uint32_t>(next())) << 32 | low);
  }
  /// Number of a slot; 0 after a failure.
  uint32_t slot() noexcept {
    const int32_t word = next();
    require(word >= 0 && static_cast<uint32_t>(word) < slot_count_);
    return failed_ ? 0 : static_cast<uint32_t>(word);
  }
  [[nodiscard]] uint32_t word_of(uint32_t slot) const noexcept { return static_cast<uint32_t>(frame::kFrameSections + 2 * program_.section_count_ + 2 * slot); }
  [[nodiscard]] static constexpr uint64_t bit(uint32_t slot) noexcept { return uint64_t{1} << slot; }
  [[nodiscard]] uint32_t slot_of(const Program::Field& field) const noexcept { return (field.word - word_of(0)) / 2; }
  /// A slot gets its value once: what is made of it must not change under way.
  void know(const Program::Field& field) noexcept {
    if (failed_) return;
    const uint64_t mask = bit(slot_of(field));
    require(((known_.numbers | known_.wide) & mask) == 0);
    (field.width == 8 ? known_.wide : known_.numbers) |= mask;
  }

  [[nodiscard]] static Program::ValueSet between_values(int64_t min, int64_t max) noexcept {
    return {static_cast<uint64_t>(min), static_cast<uint64_t>(max) - static_cast<uint64_t>(min), false, {}};
  }
  /// So many values.
  Program::ValueSet values(uint32_t count) {
    std::vector<int64_t> found;
    for (uint32_t i = 0; i < count && !failed_; i++) found.push_back(number());
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    if (!found.empty()) {
      const auto set = between_values(found.front(), found.back());
      if (set.span == found.size() - 1) return set;
    }
    const Range range{static_cast<uint32_t>(program_.values_.size()), static_cast<uint32_t>(found.size())};
    program_.values_.insert(program_.values_.end(), found.begin(), found.end());
    return {0, 0, true, range};
  }
  /// Adds the slots that the sum is made of to `needs`.
  Program::Sum sum(uint64_t& needs) {
    Program::Sum sum;
    sum.bytes = next();
    sum.terms = {static_cast<uint32_t>(program_.terms_.size()), count(frame::kLimitTerms)};
    for (uint32_t i = 0; i < sum.terms.count && !failed_; i++) {
      const uint32_t slot = this->slot();
      const int32_t scale = next();
      require(scale == -1 || (scale >= 1 && scale <= 65536));
      needs |= bit(slot);
      program_.terms_.push_back({word_of(slot), scale});
    }
    return sum;
  }
  Range conditions(uint64_t& needs) {
    const Range range{static_cast<uint32_t>(program_.conditions_.size()), count()};
    for (uint32_t i = 0; i < range.count && !failed_; i++) {
      const uint32_t slot = this->slot();
      needs |= bit(slot);
      program_.conditions_.push_back({word_of(slot), values(count())});
    }
    return range;
  }
  void require_numbers(uint64_t needs) noexcept { require((needs & ~known_.numbers) == 0); }

  /// `at`: the place of a variant's field; a prefix's field has a fixed one.
  Program::Field field(const Program::Sum* at) {
    Program::Field field;
    field.word = word_of(slot());
    field.width = static_cast<uint8_t>(between(1, 8));
    require(field.width <= 4 || field.width == 8);
    const uint32_t flags = between(0, frame::kFlagLittle | frame::kFlagSigned);
    field.is_little = (flags & frame::kFlagLittle) != 0;
    const bool is_signed = (flags & frame::kFlagSigned) != 0;
    const int32_t place = next();
    // Where fields are added to it, the place may begin before the frame.
    require(place <= frame::kLimitHeadBytes && place >= (at != nullptr && at->terms.count > 0 ? -frame::kLimitHeadBytes : 0));
    require(at == nullptr || at->bytes == place);
    field.at = at != nullptr ? *at : Program::Sum{place, {}};
    bits(field, is_signed);
    field.code = next();
    require(field.code >= 0 && static_cast<size_t>(field.code) < code_count_);
    check(field);
    return field;
  }
  void bits(Program::Field& field, bool is_signed) noexcept {
    const auto width = static_cast<uint32_t>(field.width) * 8;
    const uint32_t shift = between(0, 31);
    const uint32_t bit_count = between(0, 32);
    if (failed_) return;
    if (bit_count == 0) {
      require(shift == 0);
      if (is_signed && width < 64) field.sign_bit = uint64_t{1} << (width - 1);
    } else {
      require(!is_signed && width < 64 && shift + bit_count <= width);
    }
    field.shift = static_cast<uint8_t>(shift + (field.is_little ? 0 : 64 - width));
    field.mask = low_bits(bit_count == 0 ? width : bit_count);
  }
  [[nodiscard]] static constexpr uint64_t low_bits(uint32_t count) noexcept { return ~uint64_t{0} >> (64 - count); }
  void check(Program::Field& field) {
    const int32_t kind = next();
    require(kind == frame::kCheckNone || field.width <= 4);
    if (kind == frame::kCheckOneOf) {
      field.allowed = values(between(1, frame::kLimitValues));
    } else if (kind == frame::kCheckRange) {
      const int64_t min = number();
      const int64_t max = number();
      // A range that ends before it begins holds nothing.
      field.allowed = min <= max ? between_values(min, max) : values(0);
    } else {
      require(kind == frame::kCheckNone);
    }
  }

  void variant() {
    Program::Variant variant;
    uint64_t needs = 0;
    variant.when = conditions(needs);
    require_numbers(needs);
    variant.min_bytes = between(1, frame::kLimitHeadBytes + 8);

    // What the length, its sections and its checksum are made of must be known where the length is checked.
    uint64_t length_needs = 0;
    variant.length = sum(length_needs);
    variant.sections_at = sum(length_needs);
    sections(variant, length_needs);

    const int32_t id_slot = next();
    require(id_slot >= -1 && id_slot < static_cast<int32_t>(slot_count_));
    variant.has_checksum = between(0, 1) == 1;
    if (variant.has_checksum) variant.checksum_when = conditions(length_needs);

    uint64_t kind_needs = 0;
    kinds(variant, kind_needs);
    steps(variant, id_slot, length_needs);
    require_numbers(kind_needs);
    require(variant.min_bytes == fixed_end_);
    require(variant.has_id == (id_slot >= 0));
    program_.variants_.push_back(variant);
  }
  void sections(Program::Variant& variant, uint64_t& needs) {
    variant.sections = {static_cast<uint32_t>(program_.sections_.size()), count(frame::kLimitSections)};
    for (uint32_t i = 0; i < variant.sections.count && !failed_; i++) {
      Program::Section section;
      const int32_t index = next();
      require(index >= 0 && static_cast<size_t>(index) < program_.section_count_);
      if (failed_) return;
      section.word = static_cast<uint32_t>(frame::kFrameSections + 2 * index);
      section.is_rest = between(0, 1) == 1;
      require(!section.is_rest || i + 1 == variant.sections.count);
      if (!section.is_rest) section.length = sum(needs);
      program_.sections_.push_back(section);
    }
  }
  void kinds(Program::Variant& variant, uint64_t& needs) {
    variant.kinds = {static_cast<uint32_t>(program_.kinds_.size()), count()};
    for (uint32_t i = 0; i < variant.kinds.count && !failed_; i++) {
      Program::KindRule rule;
      rule.kind = static_cast<int32_t>(between(frame::kKindUnknown, frame::kKindEvent));
      rule.when = conditions(needs);
      program_.kinds_.push_back(rule);
    }
  }
  /// Reads the fields of a variant, in their order, and the one place between them where its length is checked.
  void steps(Program::Variant& variant, int32_t id_slot, uint64_t length_needs) {
    bool is_length_checked = false;
    variant.before_length = {static_cast<uint32_t>(program_.fields_.size()), 0};
    const uint32_t steps = count();
    for (uint32_t i = 0; i < steps && !failed_; i++) {
      const int32_t op = next();
      if (op == frame::kOpLength) {
        require(!is_length_checked);
        require_numbers(length_needs);
        is_length_checked = true;
        variant.after_length = {static_cast<uint32_t>(program_.fields_.size()), 0};
        continue;
      }
      require(op == frame::kOpField);
      uint64_t needs = 0;
      const Program::Sum at = sum(needs);
      require_numbers(needs);
      Program::Field field = this->field(&at);
      if (failed_) return;
      if (at.terms.count == 0) fixed_end_ = std::max(fixed_end_, at.bytes + field.width);
      if (static_cast<int32_t>(slot_of(field)) == id_slot) {
        // The id is patched in place: all of the field.
        require(field.width >= 2 && field.mask == low_bits(field.width * 8U));
        field.is_id = true;
        variant.has_id = true;
        variant.id_word = field.word;
        variant.id_width = field.width;
        variant.id_is_little = field.is_little;
      }
      know(field);
      program_.fields_.push_back(field);
      (is_length_checked ? variant.after_length : variant.before_length).count++;
    }
    require(is_length_checked);
  }

  std::span<const int32_t> words_;
  size_t code_count_;
  size_t offset_ = 0;
  bool failed_ = false;
  size_t slot_count_ = 0;
  Known known_;
  /// Where the fields at fixed places end.
  int64_t fixed_end_ = 0;
  FrameProgram program_;
};

std::optional<FrameProgram> FrameProgram::load(std::span<const int32_t> words, size_t code_count) { return ProgramLoader(words, code_count).load(); }

bool FrameProgram::has_id() const noexcept {
  return std::any_of(variants_.begin(), variants_.end(), [](const Variant& variant) { return variant.has_id; });
}

}  // namespace sluice
