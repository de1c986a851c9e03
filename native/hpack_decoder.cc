// Field blocks into head tables. The twin of codecs/http2/hpack/{dynamic-table,decoder}.ts.
#include <algorithm>
#include <cstring>

#include "hpack.h"
#include "http1_chars.h"

namespace sluice::hpack {

using namespace layout;
using namespace http2::rules;
using http1::is_alpha;
using http1::is_authority;
using http1::is_digit;
using http1::is_space;
using http1::is_target;
using http1::kToken;

void DynamicTable::resize(uint32_t max_size) noexcept {
  max_size_ = max_size;
  evict(max_size);
  if (count_ == 0) tail_ = 0;
}

uint8_t* DynamicTable::place(uint32_t name_bytes, uint32_t value_bytes, uint32_t word) {
  const uint64_t size = uint64_t{name_bytes} + value_bytes + kEntryOverhead;
  if (size > max_size_) {
    evict(0);
    tail_ = 0;
    return nullptr;
  }
  evict(max_size_ - static_cast<uint32_t>(size));
  if (count_ == entries_.size()) grow_entries();
  const uint32_t length = name_bytes + kSeparatorBytes + value_bytes;
  if (tail_ + length > bytes_.size()) make_room(length);
  entries_[inserted_ & mask_] = {tail_, name_bytes, value_bytes, word};
  uint8_t* const to = bytes_.data() + tail_;
  tail_ += length;
  inserted_++;
  count_++;
  size_ += static_cast<uint32_t>(size);
  return to;
}

bool DynamicTable::add(std::span<const uint8_t> name, std::span<const uint8_t> value, uint32_t word) {
  uint8_t* to = place(static_cast<uint32_t>(name.size()), static_cast<uint32_t>(value.size()), word);
  if (to == nullptr) return false;
  to = std::copy(name.begin(), name.end(), to);
  *to++ = ':';
  *to++ = ' ';
  std::copy(value.begin(), value.end(), to);
  return true;
}

bool DynamicTable::add_line(std::span<const uint8_t> line, uint32_t name_bytes, uint32_t word) {
  uint8_t* const to = place(name_bytes, static_cast<uint32_t>(line.size()) - name_bytes - kSeparatorBytes, word);
  if (to == nullptr) return false;
  std::memcpy(to, line.data(), line.size());
  return true;
}

void DynamicTable::evict(uint32_t most) noexcept {
  while (size_ > most) {
    const Entry& entry = at(oldest());
    size_ -= entry.name_bytes + entry.value_bytes + kEntryOverhead;
    count_--;
  }
}

void DynamicTable::grow_entries() {
  constexpr size_t kFirstEntries = 16;
  std::vector<Entry> entries(std::max(kFirstEntries, 2 * entries_.size()));
  const auto mask = static_cast<uint32_t>(entries.size() - 1);
  for (uint32_t i = 0; i < count_; i++) entries[(oldest() + i) & mask] = at(oldest() + i);
  entries_ = std::move(entries);
  mask_ = mask;
}

/// Moves the entries to the front, into more memory where less than half would be free.
void DynamicTable::make_room(uint32_t length) {
  constexpr size_t kFirstBytes = 512;
  const uint32_t start = count_ == 0 ? tail_ : at(oldest()).start;
  const uint32_t live = tail_ - start;
  size_t capacity = std::max(kFirstBytes, bytes_.size());
  while (capacity < 2 * (size_t{live} + length)) capacity *= 2;
  if (live > 0) std::memmove(bytes_.data(), bytes_.data() + start, live);
  bytes_.resize(capacity);
  for (uint32_t i = 0; i < count_; i++) entries_[(oldest() + i) & mask_].start -= start;
  tail_ = live;
}

namespace {

// What is known of a name or value, found once for each entry of a table: known id | pseudo-header << 8 | flags.
constexpr uint32_t kId = 0xff;
constexpr uint32_t kPseudoShift = 8;
constexpr uint32_t kPseudo = 0xf00;
constexpr uint32_t kBadName = 1 << 12;
constexpr uint32_t kBadValue = 1 << 13;
constexpr uint32_t kUnderscore = 1 << 14;
constexpr uint32_t kConnection = 1 << 15;
constexpr uint32_t kNameBits = kId | kPseudo | kBadName | kUnderscore | kConnection;

enum PseudoId : uint32_t { kMethod = 1, kScheme, kAuthority, kPath, kStatus, kProtocol, kUnknown };
constexpr std::array<std::string_view, 6> kPseudoNames = {":method", ":scheme", ":authority", ":path", ":status", ":protocol"};

/// 1: a byte of a field name, a token character but no capital (RFC 9113 §8.2.1); 2: an underscore; 0: none.
constexpr std::array<uint8_t, 256> kName = [] {
  std::array<uint8_t, 256> table{};
  for (size_t c = 0; c < 256; c++) table[c] = kToken[c] && (c < 'A' || c > 'Z') ? 1 : 0;
  table['_'] = 2;
  return table;
}();

[[nodiscard]] std::string_view text_of(std::span<const uint8_t> bytes) noexcept { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
[[nodiscard]] std::span<const uint8_t> bytes_of(std::string_view text) noexcept { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

[[nodiscard]] uint32_t info_of_name(std::span<const uint8_t> name) noexcept {
  if (name.empty() || name.size() >= static_cast<size_t>(kLimitMaxNameBytes)) return kBadName;
  if (name.front() == ':') {
    for (uint32_t i = 0; i < kPseudoNames.size(); i++) {
      if (text_of(name) == kPseudoNames[i]) return (i + 1) << kPseudoShift;
    }
    return kUnknown << kPseudoShift;
  }
  uint32_t info = 0;
  for (const uint8_t c : name) {
    if (kName[c] == 0) return kBadName;
    if (kName[c] == 2) info = kUnderscore;
  }
  const int id = http1::known_id(name.data(), name.size());
  switch (id) {
    case kKnownConnection:
    case kKnownProxyConnection:
    case kKnownKeepAlive:
    case kKnownTransferEncoding:
    case kKnownUpgrade:
      info |= kConnection;
      break;
    default:
      break;
  }
  return info | static_cast<uint32_t>(id);
}

/// No control byte, no space at either end (RFC 9113 §8.2.1, and RFC 9110 §5.5 for what goes on as HTTP/1).
[[nodiscard]] uint32_t info_of_value(std::span<const uint8_t> value) noexcept {
  if (value.empty()) return 0;
  if (is_space(value.front()) || is_space(value.back())) return kBadValue;
  for (size_t i = http1::plain_prefix(value.data(), value.size()); i < value.size(); i++) {
    if (!http1::is_value(value[i])) return kBadValue;
  }
  return 0;
}

const std::array<uint32_t, kStaticTable.size()> kStaticInfo = [] {
  std::array<uint32_t, kStaticTable.size()> table{};
  for (size_t i = 0; i < table.size(); i++) table[i] = info_of_name(bytes_of(kStaticTable[i].first));
  return table;
}();

[[nodiscard]] bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return kToken[static_cast<uint8_t>(c)]; });
}
/// RFC 3986 §3.1.
[[nodiscard]] bool is_scheme(std::string_view text) noexcept {
  return !text.empty() && is_alpha(static_cast<uint8_t>(text.front())) && std::all_of(text.begin(), text.end(), [](char c) {
    return is_alpha(static_cast<uint8_t>(c)) || is_digit(static_cast<uint8_t>(c)) || c == '+' || c == '-' || c == '.';
  });
}
/// Origin form, or `*` (RFC 9113 §8.3.1).
[[nodiscard]] bool is_path(std::string_view text) noexcept {
  if (text.empty() || (text.front() != '/' && text != "*")) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return is_target(static_cast<uint8_t>(c)); });
}

constexpr size_t kFirstWords = static_cast<size_t>(kHeadFields + 16 * kFieldWords);
constexpr size_t kFirstArena = 1024;
constexpr std::string_view kHostName = "host";
constexpr std::string_view kCookieName = "cookie";

}  // namespace

void Decoder::set_max_table_bytes(uint32_t bytes) noexcept {
  allowed_bytes_ = bytes;
  if (bytes < table_.max_size()) required_bytes_ = required_bytes_ < 0 ? bytes : std::min<int64_t>(required_bytes_, bytes);
}

std::span<const int32_t> Decoder::table() const noexcept {
  if (ints_.empty()) return {};
  return std::span<const int32_t>(ints_).first(static_cast<size_t>(kHeadFields + ints_[kHeadCount] * kFieldWords));
}

void Decoder::release() noexcept {
  std::vector<uint8_t>().swap(arena_);
  std::vector<int32_t>().swap(ints_);
  tail_ = 0;
}

bool Decoder::decode(std::span<const uint8_t> block, int kind, const ListLimits& limits) {
  if (ints_.empty()) {
    ints_.resize(kFirstWords);
    arena_.resize(kFirstArena);
  }
  block_ = block;
  at_ = 0;
  field_ = 0;
  kind_ = kind;
  limits_ = limits;
  fault_ = {};
  tail_ = 0;
  list_bytes_ = 0;
  fields_ = 0;
  pseudos_ = 0;
  cookie_ = -1;
  has_regular_ = false;
  crumbs_.clear();
  std::fill_n(ints_.begin(), kHeadFields, 0);
  word(kHeadLengthLow) = word(kHeadLengthHigh) = -1;
  word(kHeadFlags) = layout::kFlagHttp2 | layout::kFlagHttp11 | layout::kFlagKeepAlive;

  int updates = 0;
  bool has_fields = false;
  while (at_ < block_.size()) {
    const uint8_t first = block_[at_];
    field_ = at_;
    uint32_t value = 0;
    if ((first & 0xe0) == 0x20) {
      if (has_fields || ++updates > 2) return break_at(kFaultLateTableSize, field_);
      if (!integer(0x1f, value) || !resize(value)) return false;
      continue;
    }
    if (!has_fields && required_bytes_ >= 0) return break_at(kFaultMissingTableSize, field_);
    has_fields = true;
    if (first >= 0x80) {
      if (!integer(0x7f, value) || !indexed(value)) return false;
    } else if (first >= 0x40) {
      if (!integer(0x3f, value) || !literal(value, true, false)) return false;
    } else {
      if (!integer(0x0f, value) || !literal(value, false, first >= 0x10)) return false;
    }
  }
  if (kind_ != kBlockFields && fault_.kind == nullptr) finish();
  word(kHeadHeadBytes) = static_cast<int32_t>(tail_);
  return true;
}

bool Decoder::break_at(const FaultKind& kind, size_t at) noexcept {
  fault_ = {&kind, static_cast<uint32_t>(at)};
  return false;
}
/// The first fault of a message counts.
void Decoder::fail(const FaultKind& kind, size_t at) noexcept {
  if (fault_.kind == nullptr) fault_ = {&kind, static_cast<uint32_t>(at)};
}

std::string_view Decoder::text(int start_word) const noexcept {
  const auto at = static_cast<size_t>(start_word);
  return text(Span{static_cast<uint32_t>(ints_[at]), static_cast<uint32_t>(ints_[at + 1])});
}

/// RFC 7541 §5.1. At most 32 bits and 6 octets.
bool Decoder::integer(uint8_t prefix, uint32_t& value) noexcept {
  const size_t start = at_;
  value = block_[at_++] & prefix;
  if (value < prefix) return true;
  uint64_t wide = value;
  for (int octets = 0, shift = 0; octets < kLimitMaxIntegerOctets; octets++, shift += 7) {
    if (at_ == block_.size()) return break_at(kFaultTruncatedBlock, block_.size());
    const uint8_t octet = block_[at_++];
    wide += static_cast<uint64_t>(octet & 0x7f) << shift;
    if (wide > 0xffffffff) return break_at(kFaultBadInteger, start);
    if (octet < 0x80) {
      value = static_cast<uint32_t>(wide);
      return true;
    }
  }
  return break_at(kFaultBadInteger, start);
}

/// RFC 7541 §6.3.
bool Decoder::resize(uint32_t bytes) noexcept {
  if (bytes > allowed_bytes_) return break_at(kFaultBadTableSize, field_);
  if (bytes <= required_bytes_) required_bytes_ = -1;
  table_.resize(bytes);
  return true;
}

bool Decoder::find(uint32_t index, Found& found) noexcept {
  if (index == 0) return break_at(kFaultBadIndex, field_);
  if (index <= kStaticTable.size()) {
    const auto& [name, value] = kStaticTable[index - 1];
    found = {bytes_of(name), bytes_of(value), {}, kStaticInfo[index - 1]};
    return true;
  }
  const uint32_t back = index - static_cast<uint32_t>(kStaticTable.size());
  if (back > table_.count()) return break_at(kFaultBadIndex, field_);
  const DynamicTable::Entry& entry = table_.at(table_.inserted() - back);
  found = {table_.name(entry), table_.value(entry), table_.line(entry), entry.word};
  return true;
}

/// RFC 7541 §6.1. Counted before it is copied.
bool Decoder::indexed(uint32_t index) {
  Found found;
  if (!find(index, found)) return false;
  const auto& [name, value, line, info] = found;
  if (fault_.kind != nullptr || !counts(name.size(), value.size(), info)) return true;
  reserve(name.size() + value.size() + 4);
  uint8_t* to = arena_.data() + tail_;
  if (!line.empty()) {
    std::memcpy(to, line.data(), line.size());
  } else {
    to = std::copy(name.begin(), name.end(), to);
    *to++ = ':';
    *to++ = ' ';
    std::copy(value.begin(), value.end(), to);
  }
  take(static_cast<uint32_t>(name.size()), static_cast<uint32_t>(value.size()), info, 0);
  return true;
}

/// RFC 7541 §6.2. The line is laid out behind the last one, where it stays if the message takes it.
bool Decoder::literal(uint32_t name_index, bool is_added, bool is_never) {
  const uint32_t line = tail_;
  uint32_t name_bytes = 0;
  uint32_t info = 0;
  if (name_index == 0) {
    uint32_t end = 0;
    if (!string(line, end)) return false;
    name_bytes = end - line;
    info = info_of_name({arena_.data() + line, name_bytes});
  } else {
    Found found;
    if (!find(name_index, found)) return false;
    info = found.info & kNameBits;
    name_bytes = static_cast<uint32_t>(found.name.size());
    reserve(found.name.size() + 4);
    std::copy(found.name.begin(), found.name.end(), arena_.data() + line);
  }
  const uint32_t value_start = line + name_bytes + 2;
  uint32_t value_end = 0;
  if (!string(value_start, value_end)) return false;
  uint8_t* const arena = arena_.data();
  arena[value_start - 2] = ':';
  arena[value_start - 1] = ' ';
  const std::span<const uint8_t> value{arena + value_start, value_end - value_start};
  info |= info_of_value(value);
  if (is_added) table_.add_line({arena + line, value_end - line}, name_bytes, info);
  if (fault_.kind == nullptr && counts(name_bytes, value.size(), info)) take(name_bytes, static_cast<uint32_t>(value.size()), info, is_never ? kNeverIndexed : 0);
  return true;
}

/// RFC 7541 §5.2: lays a string out at `to`. There is room for a line's separators behind it.
bool Decoder::string(uint32_t to, uint32_t& end) {
  const size_t start = at_;
  if (start == block_.size()) return break_at(kFaultTruncatedBlock, block_.size());
  const bool is_huffman = block_[start] >= 0x80;
  uint32_t length = 0;
  if (!integer(0x7f, length)) return false;
  if (length > block_.size() - at_) return break_at(kFaultTruncatedBlock, block_.size());
  const auto bytes = block_.subspan(at_, length);
  at_ += length;
  reserve(to - tail_ + (is_huffman ? size_t{length} * 8 / 5 : length) + 4);
  if (is_huffman) {
    const int64_t decoded = huffman_decode(bytes, arena_.data() + to);
    if (decoded < 0) return break_at(kFaultBadHuffman, start);
    end = to + static_cast<uint32_t>(decoded);
    return true;
  }
  if (length > 0) std::memcpy(arena_.data() + to, bytes.data(), length);
  end = to + length;
  return true;
}

bool Decoder::counts(size_t name_bytes, size_t value_bytes, uint32_t info) noexcept {
  list_bytes_ += name_bytes + value_bytes + kEntryOverhead;
  if ((info & kPseudo) == 0 || kind_ == kBlockFields) fields_++;
  if (list_bytes_ > limits_.max_head_bytes) {
    fail(kFaultHeadTooLarge);
  } else if (fields_ > limits_.max_headers) {
    fail(kFaultTooManyHeaders);
  }
  return fault_.kind == nullptr;
}

void Decoder::reserve(size_t bytes) {
  const size_t needed = tail_ + bytes;
  if (needed > arena_.size()) arena_.resize(std::max(2 * arena_.size(), needed));
}

/// The field whose name and value lie at the tail with a colon and a space between them.
void Decoder::take(uint32_t name_bytes, uint32_t value_bytes, uint32_t info, int32_t never) {
  const uint32_t line = tail_;
  const Span value{line + name_bytes + 2, value_bytes};
  if (kind_ == kBlockFields) {
    if (name_bytes >= static_cast<uint32_t>(kLimitMaxNameBytes)) return fail(kFaultBadName);
    return commit(line, name_bytes, value, info & kId, never);
  }
  if ((info & kBadName) != 0) return fail(kFaultBadName);
  if ((info & kBadValue) != 0) return fail(kFaultBadValue);
  if ((info & kPseudo) != 0) return pseudo((info & kPseudo) >> kPseudoShift, value, never);
  has_regular_ = true;
  if ((info & kConnection) != 0) return fail(kFaultConnectionField);
  if ((info & kUnderscore) != 0 && limits_.underscores != http1::Underscores::kAllow) {
    if (limits_.underscores == http1::Underscores::kReject) fail(kFaultUnderscoreInName);
    return;
  }
  if (kind_ == kBlockTrailers) {
    for (const std::string_view pattern : http1::rules::kForbiddenTrailers) {
      if (http1::matches_name(arena_.data() + line, name_bytes, pattern)) return;
    }
    return commit(line, name_bytes, value, info & kId, never);
  }
  const bool is_request = kind_ == kBlockRequest;
  switch (static_cast<int>(info & kId)) {
    case kKnownTe:
      // RFC 9113 §8.2.2
      if (text(value) != "trailers") return fail(kFaultBadTe);
      never |= kHopByHop;
      break;
    case kKnownContentLength:
      if (!take_length(value)) return;
      break;
    case kKnownExpect:
      if (is_request && http1::equals_lower(arena_.data() + value.start, value.bytes, "100-continue")) word(kHeadFlags) |= layout::kFlagExpectContinue;
      break;
    case kKnownHost:
      if (is_request && !take_host(value)) return;
      break;
    case kKnownCookie:
      if (is_request && cookie_ >= 0) return take_crumb(value, never);
      if (is_request) cookie_ = word(kHeadCount);
      break;
    default:
      break;
  }
  commit(line, name_bytes, value, info & kId, never);
}

/// Puts a line into the table; its bytes stay.
void Decoder::commit(uint32_t line, uint32_t name_bytes, Span value, uint32_t id, int32_t bits) {
  const int32_t count = word(kHeadCount);
  const auto at = static_cast<size_t>(kHeadFields + count * kFieldWords);
  if (at == ints_.size()) ints_.resize(static_cast<size_t>(kHeadFields) + 2 * (at - static_cast<size_t>(kHeadFields)));
  word(kHeadCount) = count + 1;
  ints_[at] = static_cast<int32_t>(line);
  ints_[at + 1] = static_cast<int32_t>(name_bytes | id << 16) | bits;
  ints_[at + 2] = static_cast<int32_t>(value.start);
  ints_[at + 3] = static_cast<int32_t>(value.bytes);
  if (id != 0 && word(kHeadKnown + static_cast<int>(id) - 1) == 0) word(kHeadKnown + static_cast<int>(id) - 1) = count + 1;
  keep(value.start + value.bytes);
}
/// What lies before `end` stays.
void Decoder::keep(uint32_t end) noexcept {
  arena_[end] = '\r';
  arena_[end + 1] = '\n';
  tail_ = end + 2;
}

/// RFC 9113 §8.3.
void Decoder::pseudo(uint32_t pseudo, Span value, int32_t never) {
  if (pseudo == kUnknown || kind_ != (pseudo == kStatus ? kBlockResponse : kBlockRequest)) return fail(kFaultUnknownPseudo);
  if (has_regular_) return fail(kFaultLatePseudo);
  if (has(pseudo)) return fail(kFaultDuplicatePseudo);
  pseudos_ |= 1u << pseudo;
  const std::string_view content = text(value);
  const auto put = [&](int at) {
    word(at) = static_cast<int32_t>(value.start);
    word(at + 1) = static_cast<int32_t>(value.bytes);
  };
  switch (pseudo) {
    case kMethod:
      if (value.bytes > static_cast<uint32_t>(kLimitMaxMethodBytes)) return fail(kFaultMethodTooLong);
      if (!is_token(content)) return fail(kFaultBadMethod);
      put(kHeadMethod);
      break;
    case kScheme:
      if (!is_scheme(content)) return fail(kFaultBadScheme);
      put(kHeadScheme);
      break;
    case kPath:
      if (value.bytes > limits_.max_target_bytes) return fail(kFaultTargetTooLarge);
      if (!is_path(content)) return fail(kFaultBadPath);
      put(kHeadPath);
      put(kHeadTarget);
      break;
    case kProtocol:
      if (!limits_.extended_connect) return fail(kFaultUnknownPseudo);
      if (!is_token(content)) return fail(kFaultBadConnect);
      put(kHeadProtocol);
      break;
    case kAuthority: {
      if (!is_authority(content, false)) return fail(kFaultBadAuthority);
      put(kHeadAuthority);
      // The line `host`: its name takes the end of the longer `:authority`.
      const uint32_t line = value.start - 2 - static_cast<uint32_t>(kHostName.size());
      std::memcpy(arena_.data() + line, "host: ", 6);
      return commit(line, static_cast<uint32_t>(kHostName.size()), value, kKnownHost, never);
    }
    default: {
      int32_t status = 0;
      if (content.size() == 3 && std::all_of(content.begin(), content.end(), [](char c) { return is_digit(static_cast<uint8_t>(c)); }))
        status = (content[0] - '0') * 100 + (content[1] - '0') * 10 + content[2] - '0';
      if (status < 100 || status == 101) return fail(kFaultBadStatus);
      word(kHeadStatus) = status;
      return;
    }
  }
  keep(value.start + value.bytes);
}

/// RFC 9110 §8.6: 1*DIGIT.
bool Decoder::take_length(Span value) noexcept {
  if (word(kHeadKnown + kKnownContentLength - 1) != 0) return fail(kFaultDuplicateContentLength), false;
  constexpr uint64_t kMaxSafeLength = (uint64_t{1} << 53) - 1;
  uint64_t length = 0;
  bool is_good = value.bytes > 0;
  for (const char c : text(value)) {
    is_good = is_good && is_digit(static_cast<uint8_t>(c));
    if (!is_good) break;
    length = length * 10 + static_cast<uint64_t>(c - '0');
    is_good = length <= kMaxSafeLength;
  }
  if (!is_good) return fail(kFaultBadContentLength), false;
  word(kHeadLengthLow) = static_cast<int32_t>(static_cast<uint32_t>(length));
  word(kHeadLengthHigh) = static_cast<int32_t>(length >> 32);
  return true;
}

/// RFC 9113 §8.3.1: Host must say what `:authority` says, and is then left out. True: it becomes a line.
bool Decoder::take_host(Span value) noexcept {
  if (has(kAuthority)) {
    const std::string_view authority = text(kHeadAuthority);
    if (authority.size() != value.bytes ||
        !http1::same_name(reinterpret_cast<const uint8_t*>(authority.data()), arena_.data() + value.start, value.bytes))
      fail(kFaultHostMismatch);
    return false;
  }
  if (word(kHeadKnown + kKnownHost - 1) != 0) return fail(kFaultDuplicateHost), false;
  if (!is_authority(text(value), false)) return fail(kFaultBadHost), false;
  return true;
}

/// A further crumb of the cookie: joined where it follows directly, else kept until the end.
void Decoder::take_crumb(Span value, int32_t never) {
  const auto at = static_cast<size_t>(kHeadFields + cookie_ * kFieldWords);
  const auto end = static_cast<uint32_t>(ints_[at + 2] + ints_[at + 3]);
  ints_[at + 1] |= never;
  if (!crumbs_.empty() || end + 2 != tail_) {
    crumbs_.push_back(value);
    return keep(value.start + value.bytes);
  }
  uint8_t* const arena = arena_.data();
  arena[end] = ';';
  arena[end + 1] = ' ';
  std::memmove(arena + end + 2, arena + value.start, value.bytes);
  ints_[at + 3] += static_cast<int32_t>(2 + value.bytes);
  keep(end + 2 + value.bytes);
}

void Decoder::join_crumbs() {
  const auto at = static_cast<size_t>(kHeadFields + cookie_ * kFieldWords);
  const auto first_bytes = static_cast<uint32_t>(ints_[at + 3]);
  size_t bytes = kCookieName.size() + 2 + first_bytes;
  for (const Span& crumb : crumbs_) bytes += 2 + crumb.bytes;
  reserve(bytes + 2);
  uint8_t* const arena = arena_.data();
  const uint32_t line = tail_;
  std::memcpy(arena + line, "cookie: ", 8);
  const uint32_t value = line + 8;
  std::memcpy(arena + value, arena + ints_[at + 2], first_bytes);
  uint32_t to = value + first_bytes;
  for (const Span& crumb : crumbs_) {
    arena[to++] = ';';
    arena[to++] = ' ';
    std::memcpy(arena + to, arena + crumb.start, crumb.bytes);
    to += crumb.bytes;
  }
  ints_[at] = static_cast<int32_t>(line);
  ints_[at + 2] = static_cast<int32_t>(value);
  ints_[at + 3] = static_cast<int32_t>(to - value);
  keep(to);
}

/// What only the whole block shows; its faults are at the end of the block.
void Decoder::finish() {
  if (!crumbs_.empty()) join_crumbs();
  const size_t end = block_.size();
  if (kind_ == kBlockResponse) {
    word(kHeadFlags) |= layout::kFlagResponse;
    if (!has(kStatus)) fail(kFaultMissingPseudo, end);
    return;
  }
  if (kind_ != kBlockRequest) return;
  if (!has(kMethod)) return fail(kFaultMissingPseudo, end);
  const std::string_view method = text(kHeadMethod);
  const bool is_connect = method == "CONNECT";
  if (is_connect && !has(kProtocol)) {
    // RFC 9113 §8.5
    if (!has(kAuthority) || has(kScheme) || has(kPath)) return fail(kFaultBadConnect, end);
    if (!is_authority(text(kHeadAuthority), true)) return fail(kFaultBadConnect, end);
    word(kHeadTarget) = word(kHeadAuthority);
    word(kHeadTargetBytes) = word(kHeadAuthorityBytes);
    word(kHeadFlags) |= layout::kFlagConnect;
    return;
  }
  if (!has(kScheme) || !has(kPath)) return fail(kFaultMissingPseudo, end);
  if (has(kProtocol)) {
    // RFC 8441 §4
    if (!is_connect || !has(kAuthority)) return fail(kFaultBadConnect, end);
    word(kHeadFlags) |= layout::kFlagExtendedConnect;
    return;
  }
  if (text(kHeadPath) == "*" && method != "OPTIONS") return fail(kFaultBadPath, end);
  if (std::find(http1::rules::kIdempotentMethods.begin(), http1::rules::kIdempotentMethods.end(), method) != http1::rules::kIdempotentMethods.end())
    word(kHeadFlags) |= layout::kFlagIdempotent;
  if (method == "HEAD") word(kHeadFlags) |= layout::kFlagHeadMethod;
}

}  // namespace sluice::hpack
