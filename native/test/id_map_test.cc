#include "id_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace sluice {
namespace {

TEST(IdMapTest, HoldsWhatAMapHolds) {
  for (uint32_t seed = 1; seed <= 20; seed++) {
    std::mt19937 random(seed);
    IdMap<int> map;
    std::map<uint32_t, int> expected;
    for (int i = 0; i < 5000; i++) {
      // Ids close together, as those of a connection are, and some far away.
      const uint32_t id = 1 + 2 * (random() % 16 == 0 ? random() % 1'000'000 : random() % 200);
      if (random() % 2 == 0) {
        map[id] = i;
        expected[id] = i;
      } else {
        map.erase(id);
        expected.erase(id);
      }
      ASSERT_EQ(map.size(), expected.size()) << "seed " << seed;
    }
    size_t seen = 0;
    map.each([&](uint32_t id, int value) {
      seen++;
      ASSERT_EQ(expected.at(id), value) << "seed " << seed;
    });
    ASSERT_EQ(seen, expected.size());
    for (uint32_t id = 1; id < 402; id += 2) {
      const int* const found = map.find(id);
      ASSERT_EQ(found != nullptr, expected.contains(id)) << "seed " << seed << ", id " << id;
    }
  }
}

TEST(IdMapTest, AnEmptyOneHasNothing) {
  IdMap<int> map;
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.find(1), nullptr);
  map.erase(1);
  map[1] = 2;
  map.erase(1);
  EXPECT_EQ(map.find(1), nullptr);
}

}  // namespace
}  // namespace sluice
