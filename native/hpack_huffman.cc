// The Huffman code of RFC 7541 Appendix B. The twin of codecs/http2/hpack/huffman.ts.
#include <algorithm>

#include "hpack.h"

namespace sluice::hpack {

using http2::rules::kHuffmanBits;

namespace {

constexpr size_t kEos = 256;
constexpr int kMaxBits = 30;
/// Bits looked up at once: one or two symbols.
constexpr int kLookBits = 12;

struct Code {
  std::array<uint32_t, kEos + 1> codes{};
  /// Symbols in the order of their codes, and for each length where its codes begin.
  std::array<uint16_t, kEos + 1> symbols{};
  std::array<uint32_t, kMaxBits + 2> first_code{};
  std::array<uint16_t, kMaxBits + 2> first_symbol{};
  std::array<uint16_t, kMaxBits + 2> count{};
};
/// The code is canonical: codes of one length are consecutive in the order of their symbols, and begin where those of the next shorter length end.
constexpr Code kCode = [] {
  Code code;
  uint32_t next = 0;
  uint16_t at = 0;
  for (int bits = 1; bits <= kMaxBits; bits++) {
    next <<= 1;
    code.first_code[static_cast<size_t>(bits)] = next;
    code.first_symbol[static_cast<size_t>(bits)] = at;
    for (size_t symbol = 0; symbol <= kEos; symbol++) {
      if (kHuffmanBits[symbol] != bits) continue;
      code.codes[symbol] = next++;
      code.symbols[at++] = static_cast<uint16_t>(symbol);
      code.count[static_cast<size_t>(bits)]++;
    }
  }
  return code;
}();

struct Look {
  uint8_t first = 0;
  uint8_t second = 0;
  uint8_t first_bits = 0;  ///< 0: the code is longer
  uint8_t bits = 0;        ///< of both symbols, or of the one
};
constexpr std::array<Look, 1 << kLookBits> kLook = [] {
  std::array<Look, 1 << kLookBits> table{};
  for (size_t symbol = 0; symbol < kEos; symbol++) {
    const int bits = kHuffmanBits[symbol];
    if (bits > kLookBits) continue;
    const uint32_t from = kCode.codes[symbol] << (kLookBits - bits);
    for (uint32_t i = 0; i < (1u << (kLookBits - bits)); i++) {
      table[from + i].first = static_cast<uint8_t>(symbol);
      table[from + i].first_bits = table[from + i].bits = static_cast<uint8_t>(bits);
    }
  }
  for (uint32_t index = 0; index < table.size(); index++) {
    Look& look = table[index];
    if (look.first_bits == 0) continue;
    const Look& next = table[index << look.first_bits & (table.size() - 1)];
    if (next.first_bits == 0 || look.first_bits + next.first_bits > kLookBits) continue;
    look.second = next.first;
    look.bits = static_cast<uint8_t>(look.first_bits + next.first_bits);
  }
  return table;
}();

[[nodiscard]] uint64_t big_endian(const uint8_t* in) noexcept {
  uint64_t word = 0;
  for (int i = 0; i < 8; i++) word = word << 8 | in[i];
  return word;
}

/// Decodes a symbol whose code is longer than a look. Gives its bits, 0 where the `count` that are there hold none, -1 for EOS.
[[nodiscard]] int long_code(uint64_t waiting, int count, uint8_t*& out) noexcept {
  for (int bits = kLookBits + 1; bits <= std::min(kMaxBits, count); bits++) {
    const auto index = static_cast<uint32_t>(waiting >> (64 - bits)) - kCode.first_code[static_cast<size_t>(bits)];
    if (index >= kCode.count[static_cast<size_t>(bits)]) continue;
    const uint16_t symbol = kCode.symbols[kCode.first_symbol[static_cast<size_t>(bits)] + index];
    if (symbol == kEos) return -1;
    *out++ = static_cast<uint8_t>(symbol);
    return bits;
  }
  return 0;
}

}  // namespace

int64_t huffman_decode(std::span<const uint8_t> bytes, uint8_t* out) noexcept {
  const uint8_t* in = bytes.data();
  const uint8_t* const end = in + bytes.size();
  uint8_t* const begin = out;
  uint64_t waiting = 0;  // left-aligned; behind `count` bits there are those that follow, or zeros
  int count = 0;
  // At least 56 bits at a time, which four looks never use up.
  while (end - in >= 8) {
    waiting |= big_endian(in) >> count;
    in += (63 - count) / 8;
    count |= 56;
    for (int looks = 0; looks < 4; looks++) {
      const Look& look = kLook[waiting >> (64 - kLookBits)];
      if (look.first_bits == 0) {
        if (count < kMaxBits) break;
        const int bits = long_code(waiting, count, out);
        if (bits <= 0) return -1;
        waiting <<= bits;
        count -= bits;
        break;
      }
      out[0] = look.first;
      out[1] = look.second;
      out += look.bits != look.first_bits ? 2 : 1;
      waiting <<= look.bits;
      count -= look.bits;
    }
  }
  // The last bytes, at most seven, zeros behind.
  uint64_t rest = 0;
  int untaken = static_cast<int>(end - in) * 8;
  for (int shift = 56; in != end; shift -= 8) rest |= static_cast<uint64_t>(*in++) << shift;
  for (;;) {
    if (untaken > 0 && count < kMaxBits) {
      waiting |= rest >> count;
      const int taken = std::min(untaken, (64 - count) / 8 * 8);
      rest <<= taken;
      untaken -= taken;
      count += taken;
    }
    const Look& look = kLook[waiting >> (64 - kLookBits)];
    int bits = look.bits;
    if (look.first_bits == 0) {
      bits = long_code(waiting, count, out);
      if (bits < 0) return -1;
      if (bits == 0) break;
    } else if (bits <= count) {
      out[0] = look.first;
      out[1] = look.second;
      out += bits != look.first_bits ? 2 : 1;
    } else {
      bits = look.first_bits;
      if (bits > count) break;
      *out++ = look.first;
    }
    waiting <<= bits;
    count -= bits;
  }
  // No symbol is whole: what is left is padding, at most 7 bits, all ones.
  if (count > 7 || (count > 0 && waiting >> (64 - count) != (uint64_t{1} << count) - 1)) return -1;
  return out - begin;
}

size_t huffman_length(std::span<const uint8_t> text) noexcept {
  size_t bits = 0;
  for (const uint8_t c : text) bits += kHuffmanBits[c];
  return (bits + 7) / 8;
}

uint8_t* huffman_encode(std::span<const uint8_t> text, uint8_t* out) noexcept {
  uint64_t waiting = 0;
  int count = 0;
  for (const uint8_t c : text) {
    waiting = waiting << kHuffmanBits[c] | kCode.codes[c];
    count += kHuffmanBits[c];
    if (count < 32) continue;
    count -= 32;
    const auto word = static_cast<uint32_t>(waiting >> count);
    out[0] = static_cast<uint8_t>(word >> 24);
    out[1] = static_cast<uint8_t>(word >> 16);
    out[2] = static_cast<uint8_t>(word >> 8);
    out[3] = static_cast<uint8_t>(word);
    out += 4;
  }
  for (; count >= 8; count -= 8) *out++ = static_cast<uint8_t>(waiting >> (count - 8));
  if (count > 0) *out++ = static_cast<uint8_t>(waiting << (8 - count) | 0xffu >> count);
  return out;
}

}  // namespace sluice::hpack
