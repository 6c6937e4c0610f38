"""The decisions: pure, on plain values, with nothing imported but the standard library."""
