// Field blocks as they are sent. The twin of codecs/http2/hpack/encoder.ts.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <type_traits>

#include "hpack.h"
#include "http1_chars.h"

namespace sluice::hpack {

using namespace layout;
using namespace http2::rules;

namespace {

[[nodiscard]] std::span<const uint8_t> bytes_of(std::string_view text) noexcept { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
[[nodiscard]] std::string_view text_of(std::span<const uint8_t> bytes) noexcept { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
[[nodiscard]] std::string_view text_of(const uint8_t* base, int32_t start, int32_t bytes) noexcept {
  return bytes <= 0 ? std::string_view{} : std::string_view{reinterpret_cast<const char*>(base) + start, static_cast<size_t>(bytes)};
}

// Hashes take eight bytes at a time; only this process sees them, so their bytes may be in its own order.
constexpr size_t kWordBytes = 8;
/// `bytes` of them, at most eight, as one word.
[[nodiscard]] constexpr uint64_t word_at(const char* at, size_t bytes = kWordBytes) noexcept {
  uint64_t word = 0;
  if (std::is_constant_evaluated() || bytes < kWordBytes) {
    for (size_t i = 0; i < bytes; i++) word |= uint64_t{static_cast<uint8_t>(at[i])} << 8 * i;
    return word;
  }
  std::memcpy(&word, at, kWordBytes);
  return word;
}
[[nodiscard]] constexpr uint64_t mix(uint64_t hash, uint64_t word) noexcept {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15;
  return hash ^ hash >> 32;
}
/// The last word of a longer text overlaps the one before.
[[nodiscard]] constexpr uint64_t mix_text(uint64_t hash, std::string_view text) noexcept {
  const size_t bytes = text.size();
  if (bytes < kWordBytes) return mix(hash, word_at(text.data(), bytes));
  for (size_t at = 0; at + kWordBytes < bytes; at += kWordBytes) hash = mix(hash, word_at(text.data() + at));
  return mix(hash, word_at(text.data() + bytes - kWordBytes));
}
/// Hash of a name.
[[nodiscard]] constexpr uint32_t hash_of(std::string_view name) noexcept { return static_cast<uint32_t>(mix_text(name.size(), name)); }
/// Hash of a name and a value, from the name's; of a long value only some bytes at either end.
[[nodiscard]] constexpr uint32_t pair_hash_of(uint32_t name_hash, std::string_view value) noexcept {
  constexpr size_t kEnds = 3 * kWordBytes;
  const uint64_t hash = name_hash ^ static_cast<uint64_t>(value.size()) << 32;
  if (value.size() <= kEnds) return static_cast<uint32_t>(mix_text(hash, value));
  return static_cast<uint32_t>(mix_text(mix(hash, word_at(value.data())), value.substr(value.size() - 2 * kWordBytes)));
}
/// Texts are short: they are compared without a call.
[[nodiscard]] bool is_same(std::string_view a, std::string_view b) noexcept {
  const size_t size = a.size();
  if (size != b.size()) return false;
  if (size < kWordBytes) return word_at(a.data(), size) == word_at(b.data(), size);
  for (size_t at = 0; at + kWordBytes < size; at += kWordBytes) {
    if (word_at(a.data() + at) != word_at(b.data() + at)) return false;
  }
  return word_at(a.data() + size - kWordBytes) == word_at(b.data() + size - kWordBytes);
}
[[nodiscard]] constexpr uint32_t bucket_of(uint32_t hash, uint32_t mask) noexcept { return (hash ^ hash >> 15) & mask; }

using Name = Encoder::Name;

/// Names of the static table, and others with a policy, by their hash: open addressing. A name's first index counts.
constexpr uint32_t kNamesMask = 255;
constexpr std::array<Name, kNamesMask + 1> kNames = [] {
  std::array<Name, kNamesMask + 1> table{};
  const auto slot = [&table](std::string_view text) -> Name& {
    const uint32_t hash = hash_of(text);
    uint32_t at = bucket_of(hash, kNamesMask);
    while (!table[at].text.empty() && table[at].text != text) at = (at + 1) & kNamesMask;
    table[at].text = text;
    table[at].hash = hash;
    return table[at];
  };
  for (size_t i = 0; i < kStaticTable.size(); i++) {
    Name& known = slot(kStaticTable[i].first);
    if (known.index == 0) known.index = static_cast<uint8_t>(i + 1);
  }
  for (const std::string_view name : kNotIndexedNames) slot(name).policy = Encoder::Policy::kNot;
  for (const std::string_view name : kNeverIndexedNames) slot(name).policy = Encoder::Policy::kNever;
  return table;
}();
/// What is known of a name.
[[nodiscard]] constexpr Name name_of(uint32_t hash, std::string_view text) noexcept {
  for (uint32_t at = bucket_of(hash, kNamesMask); !kNames[at].text.empty(); at = (at + 1) & kNamesMask) {
    if (kNames[at].hash == hash && kNames[at].text == text) return kNames[at];
  }
  return {text, hash};
}
[[nodiscard]] constexpr Name name_of(std::string_view text) noexcept { return name_of(hash_of(text), text); }

/// Places in `recent_`: the well-known names by their ids, then some pseudo-headers.
[[nodiscard]] constexpr Name with_recent(Name name, int place) noexcept {
  name.recent = static_cast<uint8_t>(place);
  return name;
}
constexpr int kRecents = kKnownCount + 6;
constexpr Name kMethod = with_recent(name_of(":method"), kKnownCount + 1);
constexpr Name kScheme = with_recent(name_of(":scheme"), kKnownCount + 2);
constexpr Name kAuthority = with_recent(name_of(":authority"), kKnownCount + 3);
constexpr Name kPath = with_recent(name_of(":path"), kKnownCount + 4);
constexpr Name kStatus = with_recent(name_of(":status"), kKnownCount + 5);
constexpr Name kProtocol = name_of(":protocol");
constexpr Name kCookie = name_of("cookie");
constexpr Name kContentLength = name_of("content-length");
/// The well-known names, by id.
constexpr std::array<Name, kKnownCount + 1> kById = [] {
  std::array<Name, kKnownCount + 1> table{};
  for (size_t i = 0; i < kKnownNames.size(); i++) table[i + 1] = with_recent(name_of(kKnownNames[i]), static_cast<int>(i + 1));
  return table;
}();

/// Entries of the static table that have a value, by the hash of both.
constexpr uint32_t kPairsMask = 63;
constexpr std::array<uint8_t, kPairsMask + 1> kPairs = [] {
  std::array<uint8_t, kPairsMask + 1> table{};
  for (size_t i = 0; i < kStaticTable.size(); i++) {
    const auto& [name, value] = kStaticTable[i];
    if (value.empty()) continue;
    uint32_t at = bucket_of(pair_hash_of(hash_of(name), value), kPairsMask);
    while (table[at] != 0) at = (at + 1) & kPairsMask;
    table[at] = static_cast<uint8_t>(i + 1);
  }
  return table;
}();

constexpr uint32_t kBuckets = 128;

/// RFC 7541 §5.1, behind the bits of `first`.
[[nodiscard]] uint8_t* put_integer(uint8_t* to, uint8_t first, uint32_t prefix, uint32_t value) noexcept {
  if (value < prefix) {
    *to++ = static_cast<uint8_t>(first | value);
    return to;
  }
  *to++ = static_cast<uint8_t>(first | prefix);
  uint32_t rest = value - prefix;
  for (; rest >= 128; rest >>= 7) *to++ = static_cast<uint8_t>(rest | 0x80);
  *to++ = static_cast<uint8_t>(rest);
  return to;
}
/// RFC 7541 §5.2, as it is.
[[nodiscard]] uint8_t* put_plain(uint8_t* to, std::string_view text) noexcept {
  to = put_integer(to, 0, 0x7f, static_cast<uint32_t>(text.size()));
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}
/// The same, Huffman-coded where that is shorter.
[[nodiscard]] uint8_t* put_string(uint8_t* to, std::string_view text) noexcept {
  const size_t coded = huffman_length(bytes_of(text));
  if (coded < text.size()) return huffman_encode(bytes_of(text), put_integer(to, 0x80, 0x7f, static_cast<uint32_t>(coded)));
  return put_plain(to, text);
}

struct Line {
  std::string_view name;
  std::string_view value;
  bool has_colon = false;
};
/// Takes a line of text, which ends with CRLF or with the text.
[[nodiscard]] Line take_line(std::string_view& text) noexcept {
  const size_t cr = text.find('\r');
  const std::string_view line = text.substr(0, cr);
  text.remove_prefix(cr == std::string_view::npos ? text.size() : std::min(cr + 2, text.size()));
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {line, {}, false};
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && http1::is_space(static_cast<uint8_t>(value.front()))) value.remove_prefix(1);
  while (!value.empty() && http1::is_space(static_cast<uint8_t>(value.back()))) value.remove_suffix(1);
  return {line.substr(0, colon), value, true};
}
[[nodiscard]] int id_of(std::string_view name) noexcept {
  return http1::known_id(reinterpret_cast<const uint8_t*>(name.data()), name.size());
}
[[nodiscard]] bool is_connection_field(int id) noexcept {
  return id == kKnownConnection || id == kKnownProxyConnection || id == kKnownKeepAlive || id == kKnownTransferEncoding || id == kKnownUpgrade;
}

}  // namespace

struct Encoder::Message {
  std::span<const int32_t> table;
  const uint8_t* base;
  std::span<const int32_t> edits;
  const uint8_t* edit_bytes;

  [[nodiscard]] int32_t word(int index) const noexcept { return table.empty() ? 0 : table[static_cast<size_t>(index)]; }
  [[nodiscard]] int32_t edit(int index) const noexcept {
    if (!edits.empty()) return edits[static_cast<size_t>(index)];
    return index == kEditMethodBytes || index == kEditTargetBytes ? -1 : 0;
  }
  [[nodiscard]] std::string_view received(int start_word) const noexcept { return text_of(base, word(start_word), word(start_word + 1)); }
  [[nodiscard]] std::string_view edited(int start_word) const noexcept { return text_of(edit_bytes, edit(start_word), edit(start_word + 1)); }
  /// The text that was added to the end of the lines.
  [[nodiscard]] std::string_view added() const noexcept { return edited(kEditAppend); }
  [[nodiscard]] int32_t line_of(int id) const noexcept { return word(kHeadKnown + id - 1) - 1; }
  [[nodiscard]] std::string_view value_at(int32_t line) const noexcept { return received(kHeadFields + line * kFieldWords + 2); }
};

Encoder::Encoder(uint32_t own_bytes) : table_(kLimitDefaultTableSize), own_bytes_(own_bytes) {
  if (own_bytes < static_cast<uint32_t>(kLimitDefaultTableSize)) set_peer_table_bytes(kLimitDefaultTableSize);
}

void Encoder::set_peer_table_bytes(uint32_t bytes) noexcept {
  const uint32_t size = std::min(bytes, own_bytes_);
  if (size == table_.max_size()) return;
  smallest_ = smallest_ < 0 ? size : std::min<int64_t>(smallest_, size);
  last_ = size;
  table_.resize(size);
}

void Encoder::begin(std::vector<uint8_t>& out) {
  if (last_ < 0) return;
  std::array<uint8_t, 16> sizes;
  uint8_t* to = sizes.data();
  if (smallest_ < last_) to = put_integer(to, 0x20, 0x1f, static_cast<uint32_t>(smallest_));
  to = put_integer(to, 0x20, 0x1f, static_cast<uint32_t>(last_));
  out.insert(out.end(), sizes.data(), to);
  smallest_ = last_ = -1;
}

void Encoder::head(std::span<const int32_t> table, const uint8_t* base, std::span<const int32_t> edits, const uint8_t* edit_bytes, const OutFields& how,
                   std::vector<uint8_t>& out) {
  const Message message{table, base, edits, edit_bytes};
  begin(out);
  const bool is_response = table.empty() ? message.edit(kEditStatus) != 0 : (message.word(kHeadFlags) & layout::kFlagResponse) != 0;
  const int32_t status = message.edit(kEditStatus) != 0 ? message.edit(kEditStatus) : message.word(kHeadStatus);
  if (is_response) {
    std::array<char, 12> digits;
    const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), status).ptr;
    field(kStatus, {digits.data(), static_cast<size_t>(end - digits.data())}, Policy::kIndex, out);
  } else {
    request(message, how, out);
  }
  // RFC 9110 §8.6: no Content-Length in 1xx and 204.
  const bool writes_length = how.content_length >= 0 && (!is_response || (status >= 200 && status != 204));
  bool wrote_length = false;
  if (!table.empty()) wrote_length = write_lines(message, writes_length ? how.content_length : -1, out);
  text(message.added(), is_response, out);
  if (writes_length && !wrote_length) content_length(how.content_length, out);
}

void Encoder::lines(std::string_view lines, std::vector<uint8_t>& out) {
  begin(out);
  text(lines, true, out);
}

void Encoder::trailers(std::span<const int32_t> table, const uint8_t* base, std::vector<uint8_t>& out) {
  begin(out);
  for (int32_t i = 0; i < table[kHeadCount]; i++) {
    const int32_t* const words = table.data() + kHeadFields + i * kFieldWords;
    line(words[1] >> 16 & 0xff, text_of(base, words[0], words[1] & 0xffff), text_of(base, words[2], words[3]), (words[1] & kNeverIndexed) != 0 ? Policy::kNever : Policy::kIndex, out);
  }
}

void Encoder::request(const Message& message, const OutFields& how, std::vector<uint8_t>& out) {
  const bool is_upgrade = how.upgrade || (message.word(kHeadFlags) & layout::kFlagExtendedConnect) != 0;
  std::string_view method = message.edit(kEditMethodBytes) >= 0 ? message.edited(kEditMethod) : message.received(kHeadMethod);
  if (is_upgrade) method = "CONNECT";
  is_head_ = method == "HEAD";
  is_connect_ = !is_upgrade && method == "CONNECT";
  field(kMethod, method, Policy::kIndex, out);

  if (!is_connect_) {
    const std::string_view received = message.received(kHeadScheme);
    field(kScheme, !how.scheme.empty() ? how.scheme : received.empty() ? "http" : received, Policy::kIndex, out);
  }
  authority(message, out);
  if (is_connect_) return;

  std::string_view path = message.received(kHeadTarget);
  std::vector<char> with_slash;
  if (message.edit(kEditTargetBytes) >= 0) {
    path = message.edited(kEditTarget);
  } else if ((message.word(kHeadFlags) & layout::kFlagAbsoluteForm) != 0) {
    path = message.received(kHeadPath);
    // RFC 9113 §8.3.1: `:path` is not empty; `*` for OPTIONS without a path.
    if (path.empty()) {
      path = method == "OPTIONS" ? "*" : "/";
    } else if (path.front() == '?') {
      with_slash.reserve(path.size() + 1);
      with_slash.push_back('/');
      with_slash.insert(with_slash.end(), path.begin(), path.end());
      path = {with_slash.data(), with_slash.size()};
    }
  }
  const int32_t type = message.line_of(kKnownContentType);
  const bool is_grpc = type >= 0 && message.value_at(type).starts_with("application/grpc");
  field(kPath, path, is_grpc ? Policy::kIndexAnyway : Policy::kIndex, out);

  if (!is_upgrade) return;
  const int32_t line = message.line_of(kKnownUpgrade);
  if (message.word(kHeadProtocolBytes) > 0) {
    field(kProtocol, message.received(kHeadProtocol), Policy::kIndex, out);
  } else if (line >= 0) {
    field(kProtocol, message.value_at(line), Policy::kIndex, out);
  }
}

/// `:authority`: what the Host line was changed to, the target's own, the Host line, or an added one.
void Encoder::authority(const Message& message, std::vector<uint8_t>& out) {
  const auto added = [&] {
    for (std::string_view rest = message.added(); !rest.empty();) {
      const Line line = take_line(rest);
      if (!line.has_colon || id_of(line.name) != kKnownHost) continue;
      return field(kAuthority, line.value, Policy::kIndex, out);
    }
  };
  const int32_t line = message.line_of(kKnownHost);
  if (line >= 0) {
    for (int32_t i = 0; i < message.edit(kEditCount); i++) {
      const int at = kEditLines + i * kLineWords;
      if (message.edit(at) != line) continue;
      if (message.edit(at + 2) < 0) return added();
      return field(kAuthority, message.edited(at + 1), Policy::kIndex, out);
    }
  }
  if (message.word(kHeadAuthorityBytes) > 0) return field(kAuthority, message.received(kHeadAuthority), Policy::kIndex, out);
  if (line >= 0) return field(kAuthority, message.value_at(line), Policy::kIndex, out);
  added();
}

/// The lines of a head that go on; `length` -1: no Content-Length. True where one of them was.
bool Encoder::write_lines(const Message& message, int64_t length, std::vector<uint8_t>& out) {
  const bool is_response = (message.word(kHeadFlags) & layout::kFlagResponse) != 0;
  const int32_t count = message.word(kHeadCount);
  const int32_t edited = message.edit(kEditCount);
  bool wrote_length = false;
  int32_t change = 0;
  for (int32_t index = 0; index < count; index++) {
    const int32_t* const words = message.table.data() + kHeadFields + index * kFieldWords;
    const int32_t packed = words[1];
    const int id = packed >> 16 & 0xff;
    std::string_view value = text_of(message.base, words[2], words[3]);
    if (change < edited && message.edit(kEditLines + change * kLineWords) == index) {
      const int at = kEditLines + change * kLineWords;
      change++;
      if (message.edit(at + 2) < 0) continue;
      value = message.edited(at + 1);
    }
    if ((packed & kHopByHop) != 0 || (id == kKnownHost && !is_response)) continue;
    if (id == kKnownContentLength) {
      if (length < 0 || wrote_length) continue;
      wrote_length = true;
      content_length(length, out);
      continue;
    }
    const Policy policy = (packed & kNeverIndexed) != 0 ? Policy::kNever : Policy::kIndex;
    if (id == kKnownCookie && !is_response) {
      cookie(value, policy, out);
    } else {
      line(id, text_of(message.base, words[0], packed & 0xffff), value, policy, out);
    }
  }
  return wrote_length;
}

/// RFC 9113 §8.2.3.
void Encoder::cookie(std::string_view value, Policy policy, std::vector<uint8_t>& out) {
  for (;;) {
    const size_t end = value.find("; ");
    field(kCookie, value.substr(0, end), policy, out);
    if (end == std::string_view::npos) return;
    value.remove_prefix(end + 2);
  }
}

void Encoder::content_length(int64_t value, std::vector<uint8_t>& out) {
  std::array<char, 20> digits;
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  field(kContentLength, {digits.data(), static_cast<size_t>(end - digits.data())}, Policy::kIndex, out);
}

/// Lines as text. Those that HTTP/2 does not have are left out, and of a request the Host, which is `:authority`.
void Encoder::text(std::string_view lines, bool keeps_host, std::vector<uint8_t>& out) {
  while (!lines.empty()) {
    const Line line = take_line(lines);
    if (!line.has_colon || line.name.empty()) continue;
    const int id = id_of(line.name);
    if (is_connection_field(id) || (id == kKnownHost && !keeps_host)) continue;
    if (id == kKnownTe && line.value != "trailers") continue;
    if (id == kKnownCookie && !keeps_host) {
      cookie(line.value, Policy::kIndex, out);
    } else {
      this->line(id, line.name, line.value, Policy::kIndex, out);
    }
  }
}

void Encoder::line(int id, std::string_view name, std::string_view value, Policy policy, std::vector<uint8_t>& out) {
  if (id != 0) field(kById[static_cast<size_t>(id)], value, policy, out);
  else field(name, value, policy, out);
}

void Encoder::field(std::string_view given, std::string_view value, Policy policy, std::vector<uint8_t>& out) {
  if (name_.size() < given.size()) name_.resize(2 * given.size());
  for (size_t i = 0; i < given.size(); i++) name_[i] = http1::to_lower(static_cast<uint8_t>(given[i]));
  field(name_of({reinterpret_cast<const char*>(name_.data()), given.size()}), value, policy, out);
}

void Encoder::field(const Name& name, std::string_view value, Policy policy, std::vector<uint8_t>& out) {
  Policy how = name.policy;
  if (policy == Policy::kNever || (value.size() < kMinIndexedCookieBytes && name.index == kCookie.index)) {
    how = Policy::kNever;
  } else if (policy == Policy::kIndexAnyway && how == Policy::kNot) {
    how = Policy::kIndex;
  }

  uint32_t pair_hash = 0;
  if (how != Policy::kNever) {
    uint32_t index = find_recent(name, value);
    if (index == 0) {
      pair_hash = pair_hash_of(name.hash, value);
      index = find_pair(pair_hash, name, value);
      if (index > 0) keep_recent(name, index);
    }
    if (index > 0) {
      std::array<uint8_t, 8> bytes;
      out.insert(out.end(), bytes.data(), put_integer(bytes.data(), 0x80, 0x7f, index));
      return;
    }
  }
  const uint32_t name_index = name.index != 0 ? name.index : find_name(name);
  const uint64_t size = name.text.size() + value.size() + kEntryOverhead;
  // Of fields that are not indexed the first one is, so that the others have a name to refer to.
  const bool is_added = (how == Policy::kIndex || (how == Policy::kNot && name_index == 0)) && size * 4 <= uint64_t{table_.max_size()} * 3;
  const size_t begin = out.size();
  out.resize(begin + name.text.size() + value.size() + 24);
  uint8_t* to = out.data() + begin;
  if (is_added) {
    to = put_integer(to, 0x40, 0x3f, name_index);
  } else {
    to = put_integer(to, how == Policy::kNever ? 0x10 : 0x00, 0x0f, name_index);
  }
  if (name_index == 0) to = put_string(to, name.text);
  // Huffman coding of what comes but once costs more than its bytes.
  to = how == Policy::kNot ? put_plain(to, value) : put_string(to, value);
  out.resize(static_cast<size_t>(to - out.data()));
  if (is_added) add(name, pair_hash, value);
}

/// Index of the pair that was found last with this name, where it is the same again; else 0.
uint32_t Encoder::find_recent(const Name& name, std::string_view value) const noexcept {
  if (name.recent == 0 || recent_.empty()) return 0;
  const Recent& recent = recent_[name.recent];
  if (recent.is_static) return is_same(kStaticTable[recent.entry - 1].second, value) ? recent.entry : 0;
  const uint32_t age = age_of(recent.entry, 0);
  if (age == 0) return 0;
  const DynamicTable::Entry& found = table_.at(recent.entry);
  if (!is_same(text_of(table_.value(found)), value) || !is_same(text_of(table_.name(found)), name.text)) return 0;
  return static_cast<uint32_t>(kStaticTable.size()) + age;
}
void Encoder::keep_recent(const Name& name, uint32_t index) {
  if (name.recent == 0) return;
  if (recent_.empty()) recent_.resize(kRecents);
  const bool is_static = index <= kStaticTable.size();
  recent_[name.recent] = {is_static, is_static ? index : table_.inserted() - (index - static_cast<uint32_t>(kStaticTable.size()))};
}

/// Index of an entry with this name and value, or 0.
uint32_t Encoder::find_pair(uint32_t hash, const Name& name, std::string_view value) const noexcept {
  if (name.index > 0 && !value.empty()) {
    for (uint32_t at = bucket_of(hash, kPairsMask); kPairs[at] != 0; at = (at + 1) & kPairsMask) {
      const auto& [static_name, static_value] = kStaticTable[kPairs[at] - 1u];
      if (is_same(static_value, value) && is_same(static_name, name.text)) return kPairs[at];
    }
  }
  if (table_.count() == 0) return 0;
  uint32_t last = 0;
  for (uint32_t entry = by_pair_[bucket_of(hash, kBuckets - 1)];; entry = older_pair_[entry & mask_]) {
    last = age_of(entry, last);
    if (last == 0) return 0;
    const DynamicTable::Entry& found = table_.at(entry);
    if (is_same(text_of(table_.value(found)), value) && is_same(text_of(table_.name(found)), name.text)) {
      return static_cast<uint32_t>(kStaticTable.size()) + last;
    }
  }
}
uint32_t Encoder::find_name(const Name& name) const noexcept {
  if (table_.count() == 0) return 0;
  uint32_t last = 0;
  for (uint32_t entry = by_name_[bucket_of(name.hash, kBuckets - 1)];; entry = older_name_[entry & mask_]) {
    last = age_of(entry, last);
    if (last == 0) return 0;
    if (is_same(text_of(table_.name(table_.at(entry))), name.text)) return static_cast<uint32_t>(kStaticTable.size()) + last;
  }
}
/// 1 for the newest entry, and so on; 0 where it has been evicted, or is not older than the `last` one.
uint32_t Encoder::age_of(uint32_t entry, uint32_t last) const noexcept {
  const uint32_t age = table_.inserted() - entry;
  return age > last && age <= table_.count() ? age : 0;
}

void Encoder::add(const Name& name, uint32_t pair_hash, std::string_view value) {
  if (by_name_.empty()) {
    uint32_t slots = 1;
    while (slots * kEntryOverhead < own_bytes_) slots *= 2;
    mask_ = slots - 1;
    by_name_.assign(kBuckets, 0xffffffff);
    by_pair_.assign(kBuckets, 0xffffffff);
    older_name_.resize(slots);
    older_pair_.resize(slots);
  }
  const uint32_t entry = table_.inserted();
  if (!table_.add(bytes_of(name.text), bytes_of(value), 0)) return;
  const uint32_t name_bucket = bucket_of(name.hash, kBuckets - 1);
  const uint32_t pair_bucket = bucket_of(pair_hash, kBuckets - 1);
  older_name_[entry & mask_] = by_name_[name_bucket];
  older_pair_[entry & mask_] = by_pair_[pair_bucket];
  by_name_[name_bucket] = entry;
  by_pair_[pair_bucket] = entry;
}

}  // namespace sluice::hpack
