"""The operator of dltrain: makes the pods of a DLTrainJob exist and its status true."""
