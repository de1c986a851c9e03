#include "../timer_wheel.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sluice {
namespace {

struct Timer : TimerNode {
  double fired_ms = -1;
};

/// Turns the wheel in steps of `step` ms and notes when each timer fired.
void turn(TimerWheel& wheel, double& now, double until, double step) {
  while (now < until) {
    now += step;
    wheel.advance(now, [&](TimerNode& node) { static_cast<Timer&>(node).fired_ms = now; });
  }
}

TEST(TimerWheel, FiresWithinTwoTicksOfTheDeadline) {
  std::mt19937 random(7);
  TimerWheel wheel;
  double now = 1'000'000;
  wheel.advance(now, [](TimerNode&) {});
  std::vector<Timer> timers(500);
  std::vector<double> deadlines;
  for (auto& timer : timers) {
    deadlines.push_back(now + std::uniform_real_distribution(1.0, 40'000.0)(random));
    wheel.start(timer, now, deadlines.back());
  }
  turn(wheel, now, now + 41'000, 5);
  for (size_t i = 0; i < timers.size(); i++) {
    EXPECT_GE(timers[i].fired_ms, deadlines[i]);
    EXPECT_LE(timers[i].fired_ms, deadlines[i] + 2 * TimerWheel::kTickMs + 5);
  }
}

TEST(TimerWheel, DoesNotFireAStoppedTimer) {
  TimerWheel wheel;
  double now = 5'000;
  wheel.advance(now, [](TimerNode&) {});
  Timer timer;
  wheel.start(timer, now, now + 100);
  wheel.stop(timer);
  turn(wheel, now, now + 1'000, 16);
  EXPECT_EQ(timer.fired_ms, -1);
  EXPECT_EQ(wheel.next_ms(now), -1);
}

TEST(TimerWheel, MovesARestartedTimer) {
  TimerWheel wheel;
  double now = 5'000;
  wheel.advance(now, [](TimerNode&) {});
  Timer later;
  Timer sooner;
  wheel.start(later, now, now + 100);
  wheel.start(later, now, now + 500);
  wheel.start(sooner, now, now + 5'000);
  wheel.start(sooner, now, now + 200);
  turn(wheel, now, now + 1'000, 4);
  EXPECT_GE(later.fired_ms, 5'500);
  EXPECT_LE(later.fired_ms, 5'550);
  EXPECT_LE(sooner.fired_ms, 5'250);
}

TEST(TimerWheel, TellsOfATimerWhoseSlotTheClockHasPassedSinceTheLastTurn) {
  TimerWheel wheel;
  const double now = 5'000;
  wheel.advance(now, [](TimerNode&) {});
  Timer timer;
  wheel.start(timer, now, now + 20);
  EXPECT_LE(wheel.next_ms(now + 100), 1);
}

TEST(TimerWheel, SurvivesALongSleepBetweenTwoTurns) {
  TimerWheel wheel;
  double now = 5'000;
  wheel.advance(now, [](TimerNode&) {});
  Timer timer;
  wheel.start(timer, now, now + 300);
  turn(wheel, now, now + 1'000'000, 1'000'000);
  EXPECT_GE(timer.fired_ms, 5'300);
}

}  // namespace
}  // namespace sluice
