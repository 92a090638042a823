//! The program, driven as a user would: an empty home, real files, real processes; every wait is for a condition.

mod adoption;
mod bad_input;
mod crash_card;
mod desk;
mod example;
mod include;
mod life;
mod logs;
mod pixsim7;
mod reload;
mod supervision;
mod terminal;
mod watch;
mod working_day;
