// CRC-32 of IEEE 802.3 (polynomial 0xedb88320, as in zlib), eight bytes a step.
#pragma once

#include <cstdint>
#include <span>

namespace sluice {

[[nodiscard]] uint32_t crc32(std::span<const uint8_t> bytes) noexcept;

}  // namespace sluice
