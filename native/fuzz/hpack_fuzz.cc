// Any bytes as field blocks of one connection: every offset of a head lies in its bytes, limits hold, and what is written again is read back as the same head.
#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "../hpack.h"

using namespace sluice;
using namespace sluice::hpack;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}
std::string_view text(const Decoder& decoder, size_t at) {
  const auto table = decoder.table();
  const auto bytes = decoder.bytes();
  const auto start = static_cast<size_t>(table[at]);
  const auto length = static_cast<size_t>(table[at + 1] & (at >= static_cast<size_t>(layout::kHeadFields) && (at - layout::kHeadFields) % 4 == 0 ? 0xffff : 0x7fffffff));
  require(start + length <= bytes.size());
  return {reinterpret_cast<const char*>(bytes.data()) + start, length};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  ListLimits limits;
  if ((data[0] & 1) != 0) limits.max_head_bytes = 200;
  if ((data[0] & 2) != 0) limits.max_headers = 3;
  limits.underscores = static_cast<http1::Underscores>((data[0] >> 2) % 3);
  limits.extended_connect = (data[0] & 16) != 0;
  const int kind = data[1] % 4;
  data += 2;
  size -= 2;
  Decoder decoder;
  // A byte says how long each block is; its high bit that the table's size changes first.
  while (size > 0) {
    if ((data[0] & 0x80) != 0) decoder.set_max_table_bytes(data[0] & 1 ? 64 : 4096);
    const size_t length = std::min<size_t>(data[0] & 0x7f, size - 1);
    if (!decoder.decode({data + 1, length}, kind, limits)) {
      require(decoder.fault().kind != nullptr && decoder.fault().offset <= length);
      return 0;
    }
    data += 1 + length;
    size -= 1 + length;
    require(decoder.dynamic_table().size() <= decoder.dynamic_table().max_size());
    const auto table = decoder.table();
    const auto count = static_cast<size_t>(table[layout::kHeadCount]);
    // `:authority` becomes a line, but does not count as one.
    require(count <= limits.max_headers + 1);
    for (const int word : {layout::kHeadMethod, layout::kHeadTarget, layout::kHeadAuthority, layout::kHeadPath, layout::kHeadScheme, layout::kHeadProtocol})
      (void)text(decoder, static_cast<size_t>(word));
    for (size_t i = 0; i < count; i++) {
      const size_t at = static_cast<size_t>(layout::kHeadFields) + i * static_cast<size_t>(layout::kFieldWords);
      (void)text(decoder, at);
      (void)text(decoder, at + 2);
      require(table[at] + (table[at + 1] & 0xffff) + 2 == table[at + 2]);
    }
    if (decoder.fault().kind != nullptr || (kind != http2::rules::kBlockRequest && kind != http2::rules::kBlockResponse)) continue;
    Encoder encoder;
    std::vector<uint8_t> block;
    const bool has_length = table[layout::kHeadLengthHigh] >= 0;
    const int64_t content_length = has_length ? int64_t{table[layout::kHeadLengthHigh]} << 32 | static_cast<uint32_t>(table[layout::kHeadLengthLow]) : -1;
    encoder.head(table, decoder.bytes().data(), {}, nullptr, {content_length, {}, false}, block);
    Decoder again;
    ListLimits wide;
    wide.max_head_bytes = 1 << 20;
    wide.max_headers = 10000;
    wide.extended_connect = true;
    require(again.decode(block, kind, wide) && again.fault().kind == nullptr);
    require(again.table()[layout::kHeadStatus] == table[layout::kHeadStatus]);
    require(text(again, layout::kHeadMethod) == text(decoder, layout::kHeadMethod) && text(again, layout::kHeadPath) == text(decoder, layout::kHeadPath));
  }
  return 0;
}
