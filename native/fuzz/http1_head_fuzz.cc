// Any bytes as a head: the same result however they are split, offsets inside the input, and what is written is read back as the same message.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../http1.h"

using namespace sluice;
using namespace sluice::http1;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

int32_t at(std::span<const int32_t> table, size_t index) { return table[index]; }

void check_table(std::span<const int32_t> table, uint32_t skipped, size_t size) {
  const auto inside = [&](int32_t start, int32_t bytes) { require(start >= 0 && bytes >= 0 && static_cast<size_t>(start) + static_cast<size_t>(bytes) <= size); };
  const auto count = static_cast<size_t>(at(table, layout::kHeadCount));
  require(table.size() == layout::kHeadFields + count * layout::kFieldWords);
  require(skipped + static_cast<size_t>(at(table, layout::kHeadHeadBytes)) <= size);
  for (const int word : {layout::kHeadMethod, layout::kHeadTarget, layout::kHeadAuthority, layout::kHeadPath}) inside(table[static_cast<size_t>(word)], table[static_cast<size_t>(word) + 1]);
  for (size_t i = 0; i < count; i++) {
    const size_t field = layout::kHeadFields + i * layout::kFieldWords;
    inside(table[field], table[field + 1] & 0xffff);
    inside(table[field + 2], table[field + 3]);
    require(table[field + 2] > table[field] + (table[field + 1] & 0xffff));
  }
}

/// A forwarded head must be one that we would take, with the same framing and no line more.
void check_round_trip(std::span<const int32_t> table, const uint8_t* data, bool is_response, const Limits& limits) {
  BodyReader body;
  OutHead how;
  how.framing = body.start(table, nullptr);
  how.content_length = at(table, layout::kHeadLengthHigh) < 0
                           ? -1
                           : static_cast<int64_t>(at(table, layout::kHeadLengthHigh)) << 32 | static_cast<uint32_t>(at(table, layout::kHeadLengthLow));
  std::vector<uint8_t> out;
  write_head(table, data, {}, nullptr, how, out);
  Limits wide = limits;
  wide.max_head_bytes = limits.max_head_bytes * 2 + 1024;
  wide.max_target_bytes = limits.max_target_bytes + 1;
  wide.max_headers = limits.max_headers + 2;
  HeadParser again;
  again.reset(is_response);
  const Parsed parsed = again.parse(out, wide);
  // Without Host: HTTP/1.0 is written as 1.1, and the proxy adds what is missing.
  if (parsed == Parsed::kFault && std::strcmp(again.fault().code, "MISSING_HOST") == 0) return;
  require(parsed == Parsed::kHead);
  require(static_cast<size_t>(at(again.table(), layout::kHeadHeadBytes)) == out.size());
  require(at(again.table(), layout::kHeadCount) <= at(table, layout::kHeadCount) + 1);
  BodyReader body_again;
  require(body_again.start(again.table(), nullptr) == how.framing);
  require(body_again.remaining() == body.remaining());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const bool is_response = (data[0] & 1) != 0;
  Limits limits;
  limits.accept_http10 = (data[0] & 2) == 0;
  limits.underscores = static_cast<Underscores>((data[0] >> 2) % 3);
  if ((data[0] & 16) != 0) limits.max_head_bytes = 64;
  if ((data[0] & 32) != 0) limits.max_target_bytes = 8;
  if ((data[0] & 64) != 0) limits.max_headers = 2;
  const size_t step = 1 + data[1] % 32;
  data += 2;
  size -= 2;

  HeadParser whole;
  whole.reset(is_response);
  const Parsed expected = whole.parse({data, size}, limits);

  HeadParser pieces;
  pieces.reset(is_response);
  Parsed parsed = Parsed::kMore;
  for (size_t length = 0; length < size && parsed == Parsed::kMore;) {
    length = std::min(length + step, size);
    const std::vector<uint8_t> copy(data, data + length);
    parsed = pieces.parse(copy, limits);
  }
  require(parsed == expected);
  if (expected == Parsed::kFault) {
    require(std::strcmp(whole.fault().code, pieces.fault().code) == 0 && whole.fault().offset == pieces.fault().offset && whole.fault().status == pieces.fault().status);
    require(whole.fault().offset <= size);
  }
  if (expected != Parsed::kHead) return 0;
  require(whole.skipped() == pieces.skipped());
  require(std::equal(whole.table().begin(), whole.table().end(), pieces.table().begin(), pieces.table().end()));
  check_table(whole.table(), whole.skipped(), size);
  check_round_trip(whole.table(), data, is_response, limits);
  return 0;
}
