#include "crc32.h"

#include <array>
#include <cstddef>

namespace sluice {
namespace {

constexpr size_t kStep = 8;
using Tables = std::array<std::array<uint32_t, 256>, kStep>;

/// Table n: what a byte does to the sum when n more bytes follow it.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; bit++) value = (value & 1U) != 0 ? (value >> 1) ^ 0xedb88320U : value >> 1;
    tables[0][byte] = value;
  }
  for (size_t n = 1; n < kStep; n++) {
    for (size_t byte = 0; byte < 256; byte++) tables[n][byte] = (tables[n - 1][byte] >> 8) ^ tables[0][tables[n - 1][byte] & 0xffU];
  }
  return tables;
}
constexpr Tables kTables = make_tables();

constexpr uint32_t little32(std::span<const uint8_t, 4> bytes) {
  return static_cast<uint32_t>(bytes[0]) | static_cast<uint32_t>(bytes[1]) << 8 | static_cast<uint32_t>(bytes[2]) << 16 | static_cast<uint32_t>(bytes[3]) << 24;
}

}  // namespace

uint32_t crc32(std::span<const uint8_t> bytes) noexcept {
  uint32_t crc = 0xffffffffU;
  while (bytes.size() >= kStep) {
    const uint32_t low = crc ^ little32(bytes.first<4>());
    const uint32_t high = little32(bytes.subspan<4, 4>());
    crc = kTables[7][low & 0xffU] ^ kTables[6][low >> 8 & 0xffU] ^ kTables[5][low >> 16 & 0xffU] ^ kTables[4][low >> 24] ^  //
          kTables[3][high & 0xffU] ^ kTables[2][high >> 8 & 0xffU] ^ kTables[1][high >> 16 & 0xffU] ^ kTables[0][high >> 24];
    bytes = bytes.subspan(kStep);
  }
  for (const uint8_t byte : bytes) crc = kTables[0][(crc ^ byte) & 0xffU] ^ (crc >> 8);
  return ~crc;
}

}  // namespace sluice
