#include "../buffer.h"

#include <gtest/gtest.h>

#include <numeric>

namespace sluice {
namespace {

std::vector<uint8_t> counting(size_t count) {
  std::vector<uint8_t> bytes(count);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  return bytes;
}

TEST(Buffer, GivesBackWhatWasAppendedAcrossGrowth) {
  BlockPool pool;
  Buffer buffer(pool);
  const auto bytes = counting(100'000);
  for (size_t from = 0; from < bytes.size(); from += 777) buffer.append(std::span(bytes).subspan(from, std::min<size_t>(777, bytes.size() - from)));
  ASSERT_EQ(buffer.size(), bytes.size());
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), buffer.bytes().begin()));
}

TEST(Buffer, KeepsTheRestAfterAPartialConsume) {
  BlockPool pool;
  Buffer buffer(pool);
  const auto bytes = counting(20'000);
  buffer.append(bytes);
  buffer.consume(15'000);
  buffer.append(bytes);
  ASSERT_EQ(buffer.size(), 25'000U);
  EXPECT_EQ(buffer.bytes()[0], bytes[15'000]);
  EXPECT_EQ(buffer.bytes()[5'000], bytes[0]);
}

TEST(Buffer, HoldsNoMemoryWhenEmpty) {
  BlockPool pool;
  Buffer buffer(pool);
  buffer.append(counting(100));
  buffer.consume(100);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.room(1).size(), BlockPool::kBlockBytes);
  buffer.clear();
}

}  // namespace
}  // namespace sluice
