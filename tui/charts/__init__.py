"""The charts screen: all metrics of one run or several."""
