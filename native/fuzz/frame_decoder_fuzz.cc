// Any words as byte-code, any bytes as frames: no program and no frame makes the decoder read or write outside, the result does not depend on how much more
// is there, and what it finds lies inside the frame.
//   byte 0        which program: words of the input, or one of ours, whole or with some of its words changed
//   bytes 1 .. 3  limits, and how many words follow
//   words         of 4 bytes each, or of 2 where a word of ours is changed: which, and to what
//   the rest      frames
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../frame_decoder.h"
#include "../test/frame_programs.h"

using namespace sluice;
using Kind = Decoded::Kind;

namespace {

constexpr size_t kCodes = 16;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Input {
  std::span<const uint8_t> bytes;
  uint8_t next() {
    if (bytes.empty()) return 0;
    const uint8_t byte = bytes[0];
    bytes = bytes.subspan(1);
    return byte;
  }
};

programs::Words words_of(Input& input, uint8_t which, uint8_t count) {
  constexpr std::array<programs::Words (*)(), 3> kOurs = {programs::simple, programs::bolt, programs::everything};
  programs::Words words;
  if (which % 8 == 7) {
    for (size_t i = 0; i < count && input.bytes.size() >= sizeof(int32_t); i++) {
      int32_t word = 0;
      std::memcpy(&word, input.bytes.data(), sizeof word);
      input.bytes = input.bytes.subspan(sizeof word);
      words.push_back(word);
    }
    return words;
  }
  words = kOurs[which % 8 % kOurs.size()]();
  if (which % 8 < 3) return words;
  for (size_t i = 0; i < count % 8U; i++) {
    const size_t at = input.next() % words.size();
    words[at] = static_cast<int8_t>(input.next());
  }
  return words;
}

void check_table(const FrameProgram& program, std::span<const int32_t> table, const Decoded& decoded, const FrameLimits& limits, size_t there) {
  const int64_t total = table[frame::kFrameBytes];
  const int64_t shown = table[frame::kFrameShown];
  require(total > 0 && total <= limits.max_frame_bytes && shown > 0 && shown <= total && shown <= static_cast<int64_t>(there));
  require((decoded.kind == Kind::kWhole) == (shown == total));
  require(table[frame::kFrameIdAt] >= -1 && table[frame::kFrameIdAt] < shown);
  for (size_t i = 0; i < program.section_count(); i++) {
    const int64_t at = table[frame::kFrameSections + 2 * i];
    const int64_t bytes = table[frame::kFrameSections + 2 * i + 1];
    require(at >= 0 && bytes >= 0 && at + bytes <= total);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input{{data, size}};
  const uint8_t which = input.next();
  const FrameLimits limits{1 + input.next() * int64_t{4}, (which >> 3) * int64_t{2}};
  const uint8_t count = input.next();
  const programs::Words words = words_of(input, which, count);
  const auto program = FrameProgram::load(words, kCodes);
  if (!program) return 0;
  const FrameDecoder decoder(*program, limits);
  std::vector<int32_t> table(program->table_words());
  std::vector<int32_t> again(program->table_words());
  for (int frames = 0; frames < 64; frames++) {
    const Decoded whole = decoder.decode(input.bytes, table);
    for (size_t end = std::min<size_t>(input.bytes.size(), 80); end > 0; end--) {
      // Memory of exactly that length, so that the address sanitizer sees a read past its end.
      const std::vector<uint8_t> cut(input.bytes.begin(), input.bytes.begin() + static_cast<std::ptrdiff_t>(end));
      const Decoded decoded = decoder.decode(cut, again);
      if (decoded.kind == Kind::kMore) continue;
      if (decoded.kind == Kind::kFault) {
        require(whole.kind == Kind::kFault && whole.code == decoded.code && whole.offset == decoded.offset);
        require(decoded.code >= frame::kFaultBadChecksum && decoded.code < static_cast<int32_t>(kCodes) && decoded.offset >= 0);
        continue;
      }
      check_table(*program, again, decoded, limits, end);
      require(decoded.kind == Kind::kPartial || (whole.kind == Kind::kWhole && again == table));
    }
    if (whole.kind != Kind::kWhole) break;
    check_table(*program, table, whole, limits, input.bytes.size());
    const auto total = static_cast<size_t>(table[frame::kFrameBytes]);
    // Another id, also into bytes that end within it.
    std::vector<uint8_t> patched(input.bytes.begin(), input.bytes.begin() + static_cast<std::ptrdiff_t>(total));
    decoder.patch_id(patched, table, 0x01020304, 0x05060708);
    patched.resize(static_cast<size_t>(table[frame::kFrameIdAt] + 1));
    decoder.patch_id(patched, table, ~0U, ~0U);
    input.bytes = input.bytes.subspan(total);
  }
  return 0;
}
