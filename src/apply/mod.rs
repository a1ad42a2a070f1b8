//! Carries out a plan and decides nothing.
