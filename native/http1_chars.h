// Character classes of RFC 9110 §5.6.2 and comparisons, for the files of http1.h.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "head_layout.h"

namespace sluice::http1 {

inline constexpr std::array<bool, 256> kToken = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; c++) table[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; c++) table[static_cast<size_t>(c)] = table[static_cast<size_t>(c - 32)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<size_t>(c)] = true;
  return table;
}();

/// HTAB, SP, VCHAR and obs-text: what a field value may hold (RFC 9110 §5.5).
[[nodiscard]] constexpr bool is_value(uint8_t c) noexcept { return (c >= 0x20 && c != 0x7f) || c == '\t'; }
/// VCHAR but `#`: a request target is a URI reference without fragment.
[[nodiscard]] constexpr bool is_target(uint8_t c) noexcept { return c > 0x20 && c < 0x7f && c != '#'; }
[[nodiscard]] constexpr bool is_space(uint8_t c) noexcept { return c == ' ' || c == '\t'; }
[[nodiscard]] constexpr bool is_digit(uint8_t c) noexcept { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_alpha(uint8_t c) noexcept { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
/// Value of a hexadecimal digit, or -1.
[[nodiscard]] constexpr int hex_value(uint8_t c) noexcept {
  if (is_digit(c)) return c - '0';
  const int lower = c | 0x20;
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}
[[nodiscard]] constexpr uint8_t to_lower(uint8_t c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<uint8_t>(c | 0x20) : c; }

/// `uri-host [ ":" port ]` (RFC 3986 §3.2.2, §3.2.3) without user information, without an empty host, and without `,`, which would make a list of it.
[[nodiscard]] inline bool is_authority(std::string_view authority, bool needs_port) noexcept {
  size_t at = 0;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(authority[i]); };
  if (authority.starts_with('[')) {
    for (at = 1; at < authority.size() && (hex_value(byte(at)) >= 0 || authority[at] == ':' || authority[at] == '.'); at++) continue;
    if (at < 3 || at == authority.size() || authority[at] != ']') return false;
    at++;
  } else {
    for (; at < authority.size() && authority[at] != ':'; at++) {
      const uint8_t c = byte(at);
      if (c == '%') {
        if (at + 2 >= authority.size() || hex_value(byte(at + 1)) < 0 || hex_value(byte(at + 2)) < 0) return false;
        at += 2;
      } else if (!is_alpha(c) && !is_digit(c) && std::string_view("-._~!$&'()*+;=").find(authority[at]) == std::string_view::npos) {
        return false;
      }
    }
    if (at == 0) return false;
  }
  if (at == authority.size()) return !needs_port;
  if (authority[at] != ':') return false;
  const std::string_view port = authority.substr(at + 1);
  if (port.empty()) return !needs_port;
  uint32_t number = 0;
  for (const char c : port) {
    if (!is_digit(static_cast<uint8_t>(c))) return false;
    number = number * 10 + static_cast<uint32_t>(c - '0');
    if (number > 65535) return false;
  }
  return true;
}

/// Compares with lower-case text, whatever the case of `bytes`.
[[nodiscard]] inline bool equals_lower(const uint8_t* bytes, size_t length, std::string_view lower) noexcept {
  if (length != lower.size()) return false;
  for (size_t i = 0; i < length; i++) {
    if (to_lower(bytes[i]) != static_cast<uint8_t>(lower[i])) return false;
  }
  return true;
}
/// As `equals_lower`; a `pattern` that ends with `*` stands for all names that begin so.
[[nodiscard]] inline bool matches_name(const uint8_t* bytes, size_t length, std::string_view pattern) noexcept {
  if (!pattern.ends_with('*')) return equals_lower(bytes, length, pattern);
  pattern.remove_suffix(1);
  return length >= pattern.size() && equals_lower(bytes, pattern.size(), pattern);
}
/// Compares two names of the same length without regard to case.
[[nodiscard]] inline bool same_name(const uint8_t* a, const uint8_t* b, size_t length) noexcept {
  for (size_t i = 0; i < length; i++) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

/// Bytes at the front of `bytes` that are no control bytes, eight at a time: a lower bound (a multiple of 8), HTAB counts as one to look at.
[[nodiscard]] inline size_t plain_prefix(const uint8_t* bytes, size_t length) noexcept {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x8080808080808080;
  size_t at = 0;
  while (at + 8 <= length) {
    uint64_t word;
    std::memcpy(&word, bytes + at, 8);
    const uint64_t is_control = (word - kOnes * 0x20) & ~word;
    const uint64_t del = word ^ (kOnes * 0x7f);
    const uint64_t is_del = (del - kOnes) & ~del;
    if (((is_control | is_del) & kHigh) != 0) break;
    at += 8;
  }
  return at;
}

// Well-known names: a perfect hash over length, middle byte and the last two, found when this is compiled.
struct KnownHash {
  std::array<uint8_t, 256> ids{};
  uint32_t length_factor = 0;
  uint32_t middle_factor = 0;
  uint32_t last_factor = 0;

  /// `length` is at least 2.
  template <typename Byte>
  [[nodiscard]] constexpr uint32_t slot(const Byte* name, size_t length) const noexcept {
    const auto lower = [name](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(name[i]) | 0x20); };
    return (static_cast<uint32_t>(length) * length_factor + lower(length / 2) * middle_factor + lower(length - 2) * last_factor + lower(length - 1)) & 255;
  }
};
inline constexpr KnownHash kKnownHash = [] {
  KnownHash hash;
  for (hash.length_factor = 1; hash.length_factor < 16; hash.length_factor += 2) {
    for (hash.middle_factor = 1; hash.middle_factor < 32; hash.middle_factor += 2) {
      for (hash.last_factor = 1; hash.last_factor < 32; hash.last_factor += 2) {
        hash.ids = {};
        bool collides = false;
        for (size_t i = 0; i < layout::kKnownNames.size() && !collides; i++) {
          const std::string_view name = layout::kKnownNames[i];
          uint8_t& id = hash.ids[hash.slot(name.data(), name.size())];
          collides = id != 0;
          id = static_cast<uint8_t>(i + 1);
        }
        if (!collides) return hash;
      }
    }
  }
  return KnownHash{};
}();
static_assert(kKnownHash.length_factor != 0, "no perfect hash for the well-known names: widen the search");

/// Id of a well-known name (head_layout.h), or 0. The bytes are token characters, of which `| 0x20` maps only capitals to letters.
[[nodiscard]] inline int known_id(const uint8_t* name, size_t length) noexcept {
  if (length < 2) return 0;
  const int id = kKnownHash.ids[kKnownHash.slot(name, length)];
  if (id == 0) return 0;
  const std::string_view known = layout::kKnownNames[static_cast<size_t>(id - 1)];
  if (known.size() != length) return 0;
  if (length < 8) {
    for (size_t i = 0; i < length; i++) {
      if ((name[i] | 0x20) != static_cast<uint8_t>(known[i])) return 0;
    }
    return id;
  }
  // Eight at a time; the last ones overlap those before.
  for (size_t at = 0;; at = std::min(at + 8, length - 8)) {
    uint64_t given = 0;
    uint64_t wanted = 0;
    std::memcpy(&given, name + at, 8);
    std::memcpy(&wanted, known.data() + at, 8);
    if ((given | 0x2020202020202020) != wanted) return 0;
    if (at == length - 8) return id;
  }
}

}  // namespace sluice::http1
